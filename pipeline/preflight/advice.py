"""What to do about an error that a check met: what its own message says, else by the kind of URI."""

import re

from pipeline.endpoints.uris import scheme_of
from runners.findings import Finding, fail

# Separates what was found from what is expected in a message.
_TURN = re.compile(r"; (?=(?:expected|allowed|next): |mend )")
_LOCAL = "mend the path, or let this user read and write there"
_ELSEWHERE = "mend the address, the network or the credentials"


def refused(check: str, said: str, uri: str = "") -> Finding:
    """The failure of a check. `said`: the error's message; `uri`: what it is about, empty if not known."""
    found, change = advice_in(said.removeprefix(f"{check}: "))
    return fail(check, found, change or advice_for(uri))


def advice_in(said: str) -> tuple[str, str]:
    """A message as what was found and what is expected; the latter is empty where it does not say it."""
    found, *rest = _TURN.split(said, maxsplit=1)
    return found, "".join(rest)


def advice_for(uri: str) -> str:
    """What may be wrong with a URI that cannot be read or written."""
    return _LOCAL if uri and scheme_of(uri) == "file" else _ELSEWHERE
