"""The two families of errors of the model side; each module defines its own members of them."""

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


def one_line(error: BaseException) -> str:
    """Class and first line of an error of a library, for a one-line message (at most 300 characters)."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an error of an untrusted model may not even be printable
        lines = []
    text = lines[0].strip() if lines else ""
    return writable(f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__)


def writable(text: str) -> str:
    """The text as UTF-8 can hold it: what a library says may hold lone surrogates, which no record can."""
    return text.encode("utf-8", "backslashreplace").decode()
