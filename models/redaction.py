"""What must never be shown: credentials in URIs, and the values of secret environment variables."""

import html
import json
import os
import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

_SECRET_NAME = re.compile(
    r"(AWS|AZURE|GOOGLE|MLFLOW|HALFLIFE)_\w*(KEY|SECRET|TOKEN|PASSWORD|SAS|CREDENTIAL|CONNECTION_STRING)\w*"
)
# Names that a broker's or a model server's credentials have.
_SECRET_WORD = re.compile(
    r"(\w*_)?(SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|ACCESS_KEY|PRIVATE_KEY|SAS|CONNECTION_STRING)(_\w*)?"
)
# Shorter values would also hide parts of ordinary words.
_SHORTEST_SECRET = 6
# Even a single line of a key or certificate reveals a part of it.
_SHORTEST_LINE = 12
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_AZURE = ("abfs", "abfss")
_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^\s/?#]*)@")
_QUERY_OF_URL = re.compile(r"(?<=://)(?P<url>[^\s?#)]*)\?[^\s)]*")
_PRIVATE_KEY = re.compile(r"PRIVATE\+KEY\+[^\s'\"]*")
_QUERY = re.compile(r"\?(?=[\w.%-]+=)[^\s)]*")


def public_uri(uri: str) -> str:
    """The URI without user, password, query and fragment: signatures and tokens travel there.

    >>> public_uri("https://user:secret@host/models?sig=abc"), public_uri("/data/a?b")
    ('https://host/models', '/data/a?b')
    """
    if not holds_credentials(uri):
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        return f"{uri.partition('://')[0]}://…"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def holds_credentials(uri: str) -> bool:
    """Whether a URI has a user, a password, a query or a fragment.

    `abfss://container@account…` names a container before the `@`, which is not a secret.

    >>> holds_credentials("s3://bucket/models"), holds_credentials("https://user:secret@host/models")
    (False, True)
    """
    if not _URL.match(uri):  # a path, in which these characters are parts of names
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:  # not a valid URL, such as one with an unclosed bracket: it may contain anything
        return True
    user = parts.netloc.rpartition("@")[0]
    named_container = parts.scheme in _AZURE and ":" not in user
    return bool((user and not named_container) or parts.query or parts.fragment)


def hide_secrets(text: str) -> str:
    """The text without the query of any URL, a URL's user and password, and the values of secret variables.

    >>> hide_secrets("GET https://user:secret@host/a?sig=abc failed")
    'GET https://…@host/a?… failed'
    """
    text = _QUERY_OF_URL.sub(r"\g<url>?…", hide_values(text))
    return _QUERY.sub("?…", text)


def hide_values(text: str) -> str:
    """The text without the user and password of any URL, keys of notes, and the values of secret variables; queries
    stay.

    A value is found literally and as it is escaped in quotes, JSON, HTML and URLs.

    >>> hide_values("cannot reach https://user:secret@host/models")
    'cannot reach https://…@host/models'
    """
    return value_hider()(text)


def value_hider() -> Callable[[str], str]:
    """`hide_values` for many texts: which variables are secret is looked up once."""
    forms = [form for value in _secret_values().values() for form in _forms(value)]

    def hidden(text: str) -> str:
        for form in forms:
            text = form.sub("…", text)
        return _USER.sub(_without_user, _PRIVATE_KEY.sub("PRIVATE+KEY+…", text))

    return hidden


def _without_user(found: re.Match[str]) -> str:
    if found["scheme"].lower() in _AZURE and ":" not in found["user"]:
        return found[0]
    return f"{found['scheme']}://…@"


@lru_cache(maxsize=128)
def _forms(value: str) -> tuple[re.Pattern[str], ...]:
    """The forms in which a secret may appear in a message, the longest first; messages fold white space and are cut
    off."""
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value), html.escape(value), repr(value)[1:-1]}
    forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    forms |= {value.replace("'", "\\'"), value.replace("'", "''"), value.replace("\\", "\\\\").replace("'", "\\'")}
    forms |= {line.strip() for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE}
    long_enough = sorted((form for form in forms if len(form) >= _SHORTEST_SECRET), key=len, reverse=True)
    return tuple(re.compile(_loosely(form)) for form in long_enough)


def _loosely(form: str) -> str:
    """A pattern for the text with any white space between its words, and for its beginning at the end of a message."""
    signs = [r"\s+" if part.isspace() else re.escape(part) for part in re.findall(r"\s+|\S", form)]
    whole = "".join(signs)
    cut = "".join(signs[:_SHORTEST_LINE]) + r"\S*(?=…|\.\.\.|$)"
    return f"{whole}|{cut}" if len(signs) > _SHORTEST_LINE else whole


def secrets_in(text: str) -> list[str]:
    """Names of the secret environment variables whose values the text contains."""
    return sorted(name for name, value in _secret_values().items() if any(form.search(text) for form in _forms(value)))


def _secret_values() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if (_SECRET_NAME.fullmatch(name) or _SECRET_WORD.fullmatch(name)) and len(value.strip()) >= _SHORTEST_SECRET
    }
