"""The two families of errors of endpoints; `schemas.errors` shows the whole tree."""

from schemas.errors import HalflifeError


class NoInput(HalflifeError):
    """There is no usable input: nothing matches, or what matches cannot be listed or read; the message names the
    URI."""


class NothingMatches(NoInput):
    """No file is there: it may be misspelt, or nothing has arrived yet."""


class SinkUnwritable(HalflifeError):
    """A sink that cannot be written; the message names its path in the spec, its URI and what is wrong."""
