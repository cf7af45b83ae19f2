"""Runs cases in R and in Python in one process, through rpy2; prints the difference in ULP and the name of each.

    python in_one_process.py FOLDER PATTERN...

A program rather than a test, because such a process needs care in two places. rpy2 releases Python's lock while R runs, and
reticulate 1.28 drops Python objects without it when R collects garbage, so R gets a heap large enough never to collect. And
R's teardown aborts a process that has loaded reticulate, so this one exits at once.
"""

import os
import sys
from pathlib import Path

os.environ |= {"R_NSIZE": "40M", "R_VSIZE": "2G"}  # no garbage collection below these

from rpy2 import robjects

from pyadam.parity.cases import select, table
from pyadam.parity.inputs import draw
from pyadam.parity.report import against_r
from pyadam.parity.run_python import run_pyadam
from pyadam.parity.run_r import prepare, result

cases = select(table(), sys.argv[2:])
inputs = [[draw(case)] for case in cases]
folder = Path(sys.argv[1])

robjects.r["source"](str(prepare(cases, inputs, folder)))
if robjects.r("reticulate::import('os')$getpid()")[0] != os.getpid():
    sys.exit("R has a Python of its own")

for index, (case, given) in enumerate(zip(cases, inputs, strict=True)):
    print(against_r(run_pyadam(case, *given), result(folder, index)), case.name, flush=True)
sys.stdout.flush()
os._exit(0)
