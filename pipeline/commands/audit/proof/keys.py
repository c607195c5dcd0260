"""Where the keys of an audit are: the private one in a file or variable, public ones in files or written out."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from audit.files.notes import PrivateKey, PublicKey, UnusableNote, parse_private_key, parse_public_key
from models.errors import one_line
from schemas.validation import SpecError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MOST_BYTES = 4096


def private_key(named: str) -> PrivateKey:
    """The key in a file, or in the variable of `${NAME}`.

    Raises:
        SpecError: there is none; the message shows nothing of what is there.
    """
    variable = _VARIABLE.fullmatch(named)
    text = os.environ.get(variable[1], "") if variable else _read(named, "audit.key")
    try:
        return parse_private_key(text)
    except UnusableNote as error:
        unset = variable is not None and not text
        why = "the variable is not set" if unset else str(error).partition(";")[0]
        expected = f"a private key ({why}); next: halflife audit key --out FILE"
        raise SpecError("audit.key", named, expected) from None


def public_keys(named: Sequence[str]) -> list[PublicKey]:
    """The keys in files, one a line, or as they are written themselves.

    Raises:
        SpecError: one is none.
    """
    found = []
    for each in named:
        # A written key has two signs + and may have slashes; a file of such a name wins.
        written = each.count("+") > 1 and not Path(each).exists()
        for line in [each] if written else _read(each, "--key").split("\n"):
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


def _read(path: str, spec_path: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        return data.decode() if len(data) <= _MOST_BYTES else ""
    except OSError as error:
        raise SpecError(spec_path, path, f"a file that can be read ({one_line(error)})") from None
    except UnicodeDecodeError:
        return ""
