#!/usr/bin/env bash
# Installs what the targets of the Makefile need and is still missing:
#   tools/setup.sh EXTRA   R with its packages, .venv with pyadam-keras[EXTRA], .r-lib with the R package.
#                          EXTRA: bench, demo, docs or test
# System packages come through apt, as root or with sudo; without either, one line says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly extra=${1:?which extra of pyproject.toml?}
readonly log=.cache/setup.log
mkdir -p .cache

die() {
    printf '%s\n' "pyadam: $*" >&2
    exit 1
}

# step LABEL COMMAND...: prints what is being done and how long it took; the command's output is shown only if it fails.
step() {
    local label=$1 start=$SECONDS status=0 dots
    shift
    printf '  %-58s' "$label"
    while sleep 5 >/dev/null 2>&1; do printf .; done &
    dots=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    kill "$dots"
    wait "$dots" 2>/dev/null || true
    if ((status != 0)); then
        printf ' failed\n'
        tail -n 15 "$log" >&2
        die "this step failed: $label (all of its output is in $log)"
    fi
    printf ' %d s\n' $((SECONDS - start))
}

# ---- what is missing

r_packages_missing() { # those of the named R packages that are not installed
    Rscript -e 'for (p in commandArgs(TRUE)) if (!nzchar(system.file(package = p))) cat(p, "")' "$@"
}

r_can_be_linked() { # needed to build rpy2
    local -a flags
    read -ra flags < <(R CMD config --ldflags)
    echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null "${flags[@]}"
}

# The R packages of an extra, in addition to DESCRIPTION's Imports.
r_packages=(generics reticulate)
[[ $extra == test ]] && r_packages+=(jsonlite knitr lintr rmarkdown roxygen2 testthat)
[[ $extra == docs ]] && r_packages+=(knitr pkgdown rmarkdown)

python_fits='import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))'
# R loads Python as a shared library; venv needs ensurepip, rpy2 needs Python.h.
python_complete='
import ensurepip, os, sys, sysconfig, venv
library = os.path.join(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY"))
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(not (library.endswith(".so") and os.path.exists(library) and os.path.exists(header)))'

find_python() { # the first complete Python, else the first that apt can complete
    local candidate system=
    for candidate in ${PYTHON:-python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.10}; do
        "$candidate" -c "$python_fits" 2>/dev/null || continue
        if "$candidate" -c "$python_complete" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
        [[ -z $system && $(command -v "$candidate") == /usr/bin/* ]] && system=$(command -v "$candidate")
    done
    [[ -n $system ]] && echo "$system"
}

missing_packages() { # apt's names of what is missing
    local package version
    if ! command -v Rscript >/dev/null; then
        echo r-base-core
        [[ $extra != test ]] || echo qpdf # R CMD check --as-cran warns without it
        printf 'r-cran-%s\n' "${r_packages[@]}"
    else
        for package in $(r_packages_missing "${r_packages[@]}"); do echo "r-cran-$package"; done
    fi
    if [[ $extra == test ]] && ! r_can_be_linked 2>/dev/null; then echo r-base-dev; fi
    if ! "$python" -c "$python_complete" 2>/dev/null; then
        version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        echo "$version-venv"
        echo "$version-dev"
    fi
}

install_packages() {
    local -a as_root=()
    ((EUID == 0)) || as_root=(sudo -n)
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

system_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        die "missing, and there is no apt to install them: ${missing[*]} (names as in Debian)"
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "missing: run 'apt-get install --no-install-recommends ${missing[*]}' as root, then run this again"
        sudo -v # asks for the password here, while the prompt is visible
    fi
    step "system packages (apt, ${#missing[@]} and what they need)" install_packages "${missing[@]}"
}

# ---- .venv and .r-lib, each with the checksum of what it was made from

checksum() { # of the files below the given paths
    find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1
}

is_made_from() { # STAMP CHECKSUM
    [[ -f $1 && $(<"$1") == "$2" ]]
}

# uv takes seconds where pip takes minutes. It doesn't read pip's configuration, so where it fails pip has the last word.
# Bytecode is made here, as pip does, and below of pyadam: without it, as under PYTHONDONTWRITEBYTECODE, each process
# would need 14 s for TensorFlow instead of 4, and 3 s for pyadam instead of 0.3.
install_python_packages() {
    local -a packages=(--constraint constraints.txt --editable ".[$extra]")
    if .venv/bin/python -m pip install --constraint constraints.txt uv &&
        .venv/bin/python -m uv pip install --compile-bytecode --python .venv/bin/python "${packages[@]}"; then
        return 0
    fi
    .venv/bin/python -m pip install "${packages[@]}"
}

make_venv() {
    local sources stamp=.venv/made-for-$extra
    sources=$(checksum pyproject.toml constraints.txt tools/setup.sh)
    if is_made_from "$stamp" "$sources" && .venv/bin/python -c '' 2>/dev/null; then return 0; fi
    python=$(find_python) || die "a Python from 3.10 to 3.13 is missing; make PYTHON=/path/to/one names it"
    system_packages
    if ! .venv/bin/python -c "$python_fits" 2>/dev/null; then
        step "virtual environment .venv, $("$python" --version)" "$python" -m venv --clear .venv
    fi
    step "pyadam-keras[$extra] and what it depends on" install_python_packages
    echo "$sources" >"$stamp"
}

make_r_library() {
    local sources stamp=.r-lib/made
    sources=$(checksum r-package)
    if is_made_from "$stamp" "$sources"; then return 0; fi
    mkdir -p .r-lib
    step "R package, into .r-lib" R CMD INSTALL --library=.r-lib r-package
    echo "$sources" >"$stamp"
}

make_venv
.venv/bin/python -m compileall -q pyadam >/dev/null || true # a mistake in it is for the tests to tell
make_r_library
