"""The environment variables that stand for options of the command line; an option that is given wins."""

import os

JOB, STORE = "HALFLIFE_JOB", "HALFLIFE_STORE"


def from_environment(name: str) -> str | None:
    """The value of a variable; None where it is not set, or empty."""
    return os.environ.get(name) or None


def said_as(option: str, name: str, value: object) -> str:
    """How an error names the option with that value: by the variable, where the value is the variable's.

    >>> said_as("--job", "HALFLIFE_NOT_SET", "job.yaml")
    '--job'
    """
    return name if value is not None and from_environment(name) == str(value) else option
