"""What only the operator decides, in the environment: which servers may be called, and every secret.

A manifest is untrusted. The server that it names receives events, so a server is refused unless `HALFLIFE_REMOTE_HOSTS`
lists it. It names environment variables, never values, and only variables whose name marks them for this purpose: a
manifest cannot cause AWS keys to be sent anywhere.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

from models.bundles.manifest import InvalidManifest
from models.scorers.base import WillNotLoad
from schemas.validation import Absent

HOSTS = "HALFLIFE_REMOTE_HOSTS"
ENCRYPTED = frozenset({"https", "grpcs"})
_PORTS = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}
_ENTRY = re.compile(
    r"(?:(?P<scheme>https?|grpcs?)://)?(?P<host>(?:\*\.)?[^/:*\[\]]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d+))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address: scheme, host in lower case, port, and the prefix of its own paths."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def server(self) -> str:
        """Scheme, host and port, which identify a server and name it in messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" if self.port else f"{self.scheme}://{host}{self.path}"


class Secret:
    """A value from the environment, which cannot be printed or pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the request only."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not leave its process")


def parse_address(url: str, schemes: Iterable[str]) -> Address:
    """The address in `parameters.url`.

    Raises:
        InvalidManifest: it is not a URL of one of these schemes, or has user, query or fragment.
    """
    allowed = " or ".join(f"{scheme}://host[:port]" for scheme in schemes)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidManifest("parameters.url", Absent("no URL"), allowed) from None
    if "@" in parts.netloc:  # not shown: it may hold a password
        raise InvalidManifest("parameters.url", Absent("has a user"), f"{allowed}, secrets by `headers`")
    strange = not url.isascii() or not url.isprintable() or " " in url or "\\" in url
    if parts.scheme not in schemes or not host or parts.query or parts.fragment or strange:
        raise InvalidManifest("parameters.url", url, allowed)
    _check_path(parts, allowed)
    return Address(parts.scheme, host.lower(), port or _PORTS.get(parts.scheme, 0), parts.path.rstrip("/"))


def _check_path(parts: SplitResult, allowed: str) -> None:
    segments = parts.path.strip("/").split("/")
    climbs = any(segment in (".", "..") for segment in segments) or "%" in parts.path
    grpc_with_path = parts.scheme.startswith("grpc") and parts.path not in ("", "/")
    if climbs or grpc_with_path:
        raise InvalidManifest("parameters.url", f"{parts.scheme}://…{parts.path}", allowed)


def check_allowed(address: Address, environ: Mapping[str, str]) -> None:
    """Refuse a server that the operator's list does not name.

    Entries are separated by commas: `scheme://host[:port]`; without a scheme, any that encrypts; without a
    port, any; `*.example.com` for the hosts below a domain; `sagemaker://region/endpoint`, where `*` stands
    for any text.

    Raises:
        WillNotLoad: not listed, or the list has an entry that cannot be read.
    """
    listed = [entry.strip() for entry in environ.get(HOSTS, "").split(",") if entry.strip()]
    if not any(_allows(entry, address) for entry in listed):
        hint = "" if address.scheme in (*ENCRYPTED, "sagemaker") else " (what is not encrypted needs its scheme there)"
        raise WillNotLoad(
            f"server {address.server} may not be asked{hint}; allowed by {HOSTS}: {', '.join(listed) or 'none'}"
        )


def _allows(entry: str, address: Address) -> bool:
    if entry.startswith("sagemaker://"):
        return address.scheme == "sagemaker" and fnmatchcase(address.server, entry)
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise WillNotLoad(f"{HOSTS} has {entry!r}; expected: [scheme://]host[:port] or sagemaker://region/endpoint")
    schemes = {found["scheme"]} if found["scheme"] else ENCRYPTED
    host = found["host"].strip("[]").lower()
    fits = address.host.endswith(host[1:]) if host.startswith("*.") else address.host == host
    return fits and address.scheme in schemes and found["port"] in (None, str(address.port))


def secret(name: str, key: str, environ: Mapping[str, str]) -> Secret:
    """The value of an environment variable that a manifest names.

    Raises:
        WillNotLoad: the variable is not set here, or its value is not allowed in a header.
    """
    value = environ.get(name, "")
    if not value:
        raise WillNotLoad(f"{key}: environment variable {name} is not set; expected: one with the secret")
    if not value.isprintable() or not value.isascii():
        raise WillNotLoad(f"{key}: environment variable {name} holds control or non-ASCII characters; expected: none")
    return Secret(value)


def secrets_of(section: str, variables: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Secret]:
    """The values of the variables that a section of a manifest's `parameters` names, by its own keys.

    Raises:
        WillNotLoad: as `secret` does.
    """
    return {key: secret(variable, f"parameters.{section}.{key}", environ) for key, variable in variables.items()}


def scrubbed(text: str, secrets: Iterable[Secret]) -> str:
    """A server's message as one line of at most 200 characters, without the secrets that were sent to the server."""
    for one in secrets:
        value = one.reveal()
        for part in (value, value.split(" ")[-1] or value):  # `Bearer x`, and what a server makes of it: `x`
            text = text.replace(part, "…")
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= 200 else line[:199] + "…"
