"""The two families of errors of the model side; each module defines its own members of them."""

import re
from typing import ClassVar


class BundleRefused(Exception):
    """A bundle may not serve.

    `reason` is one of `models.admission.REASONS`; `str()` is one line of detail; where `passing`, asking
    again later may find otherwise.
    """

    reason: ClassVar[str]
    passing: ClassVar[bool] = False


class StoreError(Exception):
    """The store could not do what was asked.

    `str()` is one line that names the object and what is allowed.
    """


_MOST_CHARACTERS = 2000
_FRAME = re.compile(r"\s*(\[bt\] \(\d+\)|Stack trace:\s*$)")


def one_line(error: BaseException) -> str:
    """Class and message of an error of a library, its lines joined to one (at most 2,000 characters).

    Many libraries say in the first line only where it happened, and in a later one what. Frames of native code
    (`[bt] (0) …`) are left out: they are addresses, which differ from process to process.
    """
    try:
        text = " ".join(word for line in str(error).splitlines() if not _FRAME.match(line) for word in line.split())
    except Exception:  # an error of an untrusted model may not even be printable
        text = ""
    return writable(f"{type(error).__name__}: {text}"[:_MOST_CHARACTERS] if text else type(error).__name__)


def writable(text: str) -> str:
    """The text as UTF-8 can hold it: what a library says may hold lone surrogates, which no record can."""
    return text.encode("utf-8", "backslashreplace").decode()
