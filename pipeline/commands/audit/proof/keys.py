"""Where the public keys of an audit are: in files, or written out."""

from collections.abc import Sequence
from pathlib import Path

from audit.files.notes import PublicKey, UnusableNote, parse_public_key
from pipeline.process.audit_key import read_key
from schemas.validation import SpecError


def public_keys(named: Sequence[str]) -> list[PublicKey]:
    """The keys in files, one a line, or as they are written themselves.

    Raises:
        SpecError: one is none.
    """
    found = []
    for each in named:
        # A written key has two signs + and may have slashes; a file of such a name wins.
        written = each.count("+") > 1 and not Path(each).exists()
        for line in [each] if written else read_key(each, "--key").split("\n"):
            if line.strip():
                found.append(_public(line, each))
        if not found:
            raise SpecError("--key", each, "a file with a public key")
    return found


def _public(line: str, named: str) -> PublicKey:
    try:
        return parse_public_key(line)
    except UnusableNote as error:
        raise SpecError("--key", named, f"a public key ({str(error).partition(';')[0]})") from None
