"""The families of errors of the model side (the tree is in `schemas.errors`), and an error in one line."""

from typing import ClassVar

from models.redaction import hide_secrets
from schemas.errors import HalflifeError
from schemas.reasons import joined, of_error


class BundleRefused(HalflifeError):
    """A bundle may not serve.

    `reason` is one of `models.admission.admission.REASONS`; `str()` is one line of detail; where `passing`, a later
    check may have another result.
    """

    reason: ClassVar[str]
    passing: ClassVar[bool] = False


class StoreError(HalflifeError):
    """The store could not do what was asked.

    `str()` is one line that names the object and what is allowed.
    """


class NotScored(HalflifeError):
    """A serving model gave no scores, or not all of them."""


def one_line(error: BaseException) -> str:
    """The messages of an error of a library or a runner and of its causes, on one line, without secrets.

    Left out is where in the code it was said: frames, classes, source files (`schemas.reasons`).
    """
    said, seen = [], set[int]()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        said.append(_says(cause))
        cause = cause.__cause__
    return writable(joined(said))


def _says(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join([str(error.message), *(_says(each) for each in error.exceptions)])
    try:
        text = hide_secrets(str(error))
    except Exception:  # even printing an error of an untrusted model may fail
        text = ""
    return of_error(error, text)


def writable(text: str) -> str:
    """The text as valid UTF-8: a library's message may contain lone surrogates, which no record can hold."""
    return text.encode("utf-8", "backslashreplace").decode()
