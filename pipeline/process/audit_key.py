"""Where the keys of an audit are: in files, the private one also in a variable."""

import os
import re
from pathlib import Path

from audit.files.notes import PrivateKey, UnusableNote, parse_private_key
from models.errors import one_line
from schemas.validation import SpecError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""How `audit.key` names a variable."""
_MOST_BYTES = 4096


def private_key(named: str) -> PrivateKey:
    """The key in a file, or in the variable of `${NAME}`.

    Raises:
        SpecError: there is none; the message shows nothing of what is there.
    """
    variable = VARIABLE.fullmatch(named)
    text = os.environ.get(variable[1], "") if variable else read_key(named, "audit.key")
    try:
        return parse_private_key(text)
    except UnusableNote as error:
        unset = variable is not None and not text
        why = "the variable is not set" if unset else str(error).partition(";")[0]
        expected = f"a private key ({why}); next: halflife audit key --out FILE"
        raise SpecError("audit.key", named, expected) from None


def read_key(path: str, spec_path: str) -> str:
    """The text of a key's file, empty where it cannot be one. Raises `SpecError` where it cannot be read."""
    try:
        with Path(path).expanduser().open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        return data.decode() if len(data) <= _MOST_BYTES else ""
    except OSError as error:
        raise SpecError(spec_path, path, f"a file that can be read ({one_line(error)})") from None
    except UnicodeDecodeError:
        return ""
