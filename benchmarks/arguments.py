"""Numbers on the command line of a benchmark."""

import argparse
import math


def positive(text: str) -> float:
    """A finite number above zero. Raises `ArgumentTypeError` for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number above 0")
    return number


def positive_whole(text: str) -> int:
    """A whole number above zero. Raises `ArgumentTypeError` for anything else."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a whole number above 0")
    return int(text)
