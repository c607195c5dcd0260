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
    lines = str(error).strip().splitlines()
    text = lines[0].strip() if lines else ""
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
