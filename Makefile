# `make help` lists what there is to make.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo workers test test-all test-oldest lint generated pytest testthat parity r-check bench performance gallery docs clean .made-test

R_CODE := Rscript --vanilla -e
EVERY_TEST := PYADAM_REQUIRE_R=1 python -m pytest -n auto -m "" --hypothesis-profile thorough
OLDEST := $(shell sed -nE 's/^    "(keras|numpy|tensorflow)>=([0-9.]+).*/"\1==\2.*"/p' pyproject.toml)

# R runs as its users run it, with the package in .r-lib and the Python in .venv.
export RETICULATE_PYTHON := $(CURDIR)/.venv/bin/python
export R_LIBS := $(CURDIR)/.r-lib$(if $(R_LIBS),:$(R_LIBS))
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 3

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 13

demo: ## train digits from Python and from R, compare the bits, draw the curves
	@tools/setup.sh demo
	@python examples/demo.py

workers: ## train on two workers from Python and from R, kill one, resume, compare the bits
	@tools/setup.sh demo
	@python examples/workers/run.py

test: .made-test ## all tests but the long ones, two kinds at a time
	@$(MAKE) --no-print-directory -j2 pytest lint generated testthat parity

test-all: export PYADAM_LONG = 1
test-all: .made-test lint generated testthat r-check docs ## all tests, R CMD check, the docs; ARGS="tests/engine" for a part of the tests
ifdef ARGS
	$(EVERY_TEST) --dist loadfile --no-loadscope-reorder $(ARGS)
else  # in four runs: XLA frees no program that it has compiled, and a process can have no more than 65,530 pieces of memory
	failed=0; \
	$(EVERY_TEST) --dist loadfile --no-loadscope-reorder tests --ignore tests/optimizers --ignore tests/engine || failed=1; \
	$(EVERY_TEST) --dist loadfile --no-loadscope-reorder tests/engine/test_[a-r]*.py || failed=1; \
	$(EVERY_TEST) --dist loadfile --no-loadscope-reorder tests/engine/test_[s-z]*.py || failed=1; \
	$(EVERY_TEST) --dist worksteal tests/optimizers || failed=1; \
	exit $$failed
endif

test-oldest: .made-test ## unit tests with the oldest versions that pyproject.toml allows, in .venv-oldest
	python -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --editable '.[test]' $(OLDEST)
	.venv-oldest/bin/python -m pytest tests/optimizers tests/engine tests/hosts

lint: .made-test ## ruff, mypy, import-linter and lintr
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	@$(R_CODE) 'options(lintr.linter_file = normalizePath("r-package/.lintr")); found <- c(lintr::lint_package("r-package"), lintr::lint_dir("examples"), lintr::lint_dir("pyadam")); print(found); quit(status = length(found) > 0)'

generated: .made-test ## do the generated files fit the specs, and the tables of the docs what was measured?
	python tools/generate.py --check
	python tools/performance.py --check

pytest: .made-test ## the tests of the Python package, and those that need both languages
	PYADAM_REQUIRE_R=1 python -m pytest -n auto --dist loadfile --no-loadscope-reorder

testthat: .made-test ## the tests of the R package
	@PYADAM_REQUIRE=1 $(R_CODE) 'testthat::test_dir("r-package/tests/testthat", package = "pyadam", load_package = "installed", reporter = "summary")'

parity: .made-test ## the case table in Python and in R, bit by bit; ARGS="--cases 100 --seed 7"
	pyadam parity $(ARGS)

r-check: .made-test ## R CMD check of the R package
	rm -rf .cache/r-check && mkdir -p .cache/r-check
	cd .cache/r-check && R CMD build ../../r-package && R CMD check --as-cran --no-manual pyadam_*.tar.gz

bench: ## time a step of pyadam and of its alternatives; ARGS="--models bert --columns all", or --list
	@tools/setup.sh bench
	pyadam bench $(ARGS)

performance: ## all that the documentation shows of the bench, measured anew (hours); ARGS="resnet bert" for the tables of some models
	@tools/setup.sh bench
	pyadam bench $(if $(ARGS),--models $(ARGS)) --json benchmarks/results/models
ifndef ARGS
	pyadam bench --models resnet --columns all --json benchmarks/results/columns.json
	pyadam bench --fit --r --json benchmarks/results/fit.json
	pyadam bench --growth --json benchmarks/results/growth.json
	python examples/which.py benchmarks/results/which.json
endif
	python tools/performance.py

gallery: ## run the programs of examples/gallery in both languages, draw their pictures, write docs/gallery.md; ARGS="digits text"
	@tools/setup.sh demo
	python tools/gallery.py $(ARGS)

docs: ## the documentation, into docs/_build, that of the R package into docs/_build/html/r
	@tools/setup.sh docs
	sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html
	rm -rf docs/_build/html/r
	Rscript --vanilla r-package/pkgdown/build.R

clean: ## remove everything that was made
	rm -rf .venv .venv-oldest .r-lib .cache demo-out docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis

.made-test:
	@tools/setup.sh test
