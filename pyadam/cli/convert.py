"""``pyadam convert``: carries a training from one file into another: Keras 3, tf_keras, R keras 2.11, torch."""

import argparse
import json
import runpy
import sys
import warnings
from typing import Any

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the two files and the options."""
    parser.add_argument("source", help="a file of weights or a whole model, a SavedModel, a checkpoint, or torch's .pt")
    parser.add_argument("target", help="the file to write; without an ending it is a checkpoint")
    parser.add_argument("--check", action="store_true", help="only say what would be carried and what not")
    parser.add_argument("--to", choices=["keras", "tf_keras"], help="the Keras that is to read the target")
    parser.add_argument(
        "--model",
        help="for files without a model: FILE.py:FUNCTION, a function that takes the module keras and returns the model; "
        "or a file that holds the model",
    )
    parser.add_argument(
        "--optimizer",
        choices=["same", "pyadam", "keras", "none"],
        default="same",
        help="whose class is in the target; none carries the weights alone",
    )
    parser.add_argument("--weights", help="for torch: a JSON file with the path in Keras of each of torch's names")


def main(args: argparse.Namespace) -> int:
    """Converts and prints what was carried and what not; 1 if nothing could be written."""
    from pyadam.interchange import convert

    try:
        weights = None
        if args.weights:
            with open(args.weights, encoding="utf-8") as file:
                weights = json.load(file)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "convert: not carried")  # it is printed below
            print(
                convert(
                    args.source,
                    args.target,
                    model=_model(args.model),
                    to=args.to,
                    optimizer=args.optimizer,
                    weights=weights,
                    check=args.check,
                )
            )
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"pyadam {error}" if str(error).startswith("convert: ") else f"pyadam convert: {error}", file=sys.stderr)
        return 1
    return 0


def _model(given: str | None) -> Any:
    """The function that ``FILE.py:FUNCTION`` names, or the name of a file."""
    file, colon, function = (given or "").rpartition(":")
    if not (colon and file.endswith(".py")):
        return given
    found = runpy.run_path(file).get(function)
    if not callable(found):
        raise ValueError(f"convert: model must name a function of {file}, got {function!r}")
    return found
