"""Which types of other libraries a model's file may hold."""

from collections.abc import Sequence

from schemas.validation import SpecError


def trusted_types(trust: Sequence[str]) -> list[str]:
    """The argument `trust`, as the command line has it. Raises `SpecError` for a single text, whose signs would be the
    types."""
    if isinstance(trust, str):
        raise SpecError("trust", trust, "a list of full names of types")
    return list(trust)
