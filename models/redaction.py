"""What must never be shown: credentials in URIs, and the values of secret environment variables."""

import os
import re
from urllib.parse import urlsplit, urlunsplit

_SECRET_NAME = re.compile(
    r"(AWS|AZURE|GOOGLE|MLFLOW|HALFLIFE)_\w*(KEY|SECRET|TOKEN|PASSWORD|SAS|CREDENTIAL|CONNECTION_STRING)\w*"
)
# Shorter values would also hide parts of ordinary words.
_SHORTEST_SECRET = 6
_AZURE = ("abfs", "abfss")


def public_uri(uri: str) -> str:
    """The URI without user, password, query and fragment: signatures and tokens travel there."""
    parts = urlsplit(uri)
    if not parts.scheme or not holds_credentials(uri):
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def holds_credentials(uri: str) -> bool:
    """Whether a URI has a user, a password, a query or a fragment.

    `abfss://container@account…` names a container before the `@`, which is no secret.
    """
    parts = urlsplit(uri)
    if not parts.scheme or parts.scheme == "file":
        return False
    user = parts.netloc.rpartition("@")[0]
    named_container = parts.scheme in _AZURE and ":" not in user
    return bool((user and not named_container) or parts.query or parts.fragment)


def hide_secrets(text: str) -> str:
    """The text without the query of any URL, a URL's user and password, and the values of secret variables."""
    for value in _secret_values().values():
        text = text.replace(value, "…")
    text = re.sub(r"\?[^\s)]*", "?…", text)
    return re.sub(r"(?<=://)[^\s/@]+:[^\s/@]*@", "…@", text)


def secrets_in(text: str) -> list[str]:
    """Names of the secret environment variables whose values stand in the text."""
    return sorted(name for name, value in _secret_values().items() if value in text)


def _secret_values() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if _SECRET_NAME.fullmatch(name) and len(value) >= _SHORTEST_SECRET
    }
