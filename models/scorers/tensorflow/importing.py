"""The import of TensorFlow, without what its native code always says on standard error.

Before its logging is set up, which nothing but its own binaries can do, it logs notes on the processor and on graphics
cards that are not there, whatever `TF_CPP_MIN_LOG_LEVEL` is.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_QUIET = "3"
# Notes and warnings of its log, in the form of absl and in the one that it had before.
_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)|[IW]\d{4} \d\d:\d\d:\d+\.\d+\s+\d+ \S+:\d+\] "
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
)


def tensorflow() -> Any:
    """The module, imported. Nothing is left out where `TF_CPP_MIN_LOG_LEVEL` is 0 or 1."""
    if os.environ.setdefault(LOG_LEVEL, _QUIET) in ("0", "1") or "tensorflow" in sys.modules:
        import tensorflow as module
    else:
        with without_noise():
            import tensorflow as module
    return module


@contextmanager
def without_noise() -> Iterator[None]:
    """In the block what native code writes to standard error is kept, and passed on after it without the notes and
    warnings of TensorFlow's log: errors, and what others wrote meanwhile, are shown."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            _pass_on(said, kept)
            os.close(kept)


def _pass_on(said: IO[bytes], descriptor: int) -> None:
    said.seek(0)
    for line in said:
        if not _NOISE.match(line):
            os.write(descriptor, line)
