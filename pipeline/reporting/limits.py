"""How many dead letters a run may have, as an option states it; apart from what judges a run, which imports Beam."""

import math
import re
from typing import NamedTuple

from schemas.validation import SpecError

_LIMIT = re.compile(r"(\d+)(%?)|(\d+\.\d+)%")


class Limits(NamedTuple):
    """How many dead letters a run may have: a number, or a share (0 to 1) of the records; None: any number."""

    letters: int | None = None
    share: float | None = None
    require_input: bool = False


NO_LIMITS = Limits()


def parse_max_letters(text: str | None) -> Limits:
    """`N` or `N%`. Raises `SpecError` for anything else."""
    if text is None:
        return NO_LIMITS
    found = _LIMIT.fullmatch(text)
    share = float(text.rstrip("%")) / 100 if found and text.endswith("%") else None
    if found is None or (share is not None and not (math.isfinite(share) and share <= 1)):
        raise SpecError("--max_dead_letters", text, "a number of records such as 100, or a share such as 0.5%")
    return Limits(share=share) if share is not None else Limits(letters=int(text))
