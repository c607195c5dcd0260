"""Whether a remote file system answers at all: without network or credentials its clients retry for minutes."""

import threading
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit

from models.redaction import public_uri
from pipeline.spec.expansion import scheme_of

_ANSWER_SECONDS = 20.0
_LOCAL = ("file", "stdout")


def check_answers(uri: str) -> None:
    """Waits until the file system of a URI answers about it; once for each bucket in a process, never for local paths.

    Raises:
        TimeoutError: it does not, within 20 seconds. What it answers, also that it refuses, is for the caller to see.
    """
    if scheme_of(uri) not in _LOCAL:
        parts = urlsplit(uri)
        _wait(f"{parts.scheme}://{parts.netloc}")


@cache
def _wait(bucket: str) -> None:
    # Beam takes seconds to import: only who names a bucket needs it.
    from apache_beam.io.filesystems import FileSystems

    def ask() -> None:
        with suppress(Exception):  # whoever opens it next gets the same error, and reports it
            FileSystems.exists(f"{bucket}/halflife")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ANSWER_SECONDS)
    if asking.is_alive():
        why = "it cannot be reached from here, or no credentials are in the environment"
        raise TimeoutError(f"{public_uri(bucket)} did not answer within {_ANSWER_SECONDS:g} s: {why}")
