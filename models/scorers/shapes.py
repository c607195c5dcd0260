"""How the numbers of a record fill a row of a tensor."""

import math
from collections.abc import Sequence


def row_shape(sizes: Sequence[object], width: int) -> tuple[int, ...] | None:
    """The shape of a row of so many numbers in a tensor whose rows have these sizes, of which one may be open (no
    whole number); None if it does not fit.

    >>> row_shape([1, 28, 28], 784), row_shape([None, 28], 784), row_shape([28, 28], 783), row_shape([], 1)
    ((1, 28, 28), (28, 28), None, None)
    """
    fixed = [size if isinstance(size, int) else -1 for size in sizes]
    known, opened = math.prod(size for size in fixed if size >= 0), fixed.count(-1)
    if not fixed or opened > 1 or known < 1 or (width % known if opened else width != known):
        return None
    return tuple(size if size >= 0 else width // known for size in fixed)


def fitting(sizes: Sequence[object]) -> str:
    """The inputs that fill a row of these sizes, in words.

    >>> fitting([1, 28, 28]), fitting([1])
    ('vector[784], with a number for each of a row', 'one value for each row')
    """
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) < len(sizes) or math.prod(known) == 1:
        return "one value for each row"
    return f"vector[{math.prod(known)}], with a number for each of a row"
