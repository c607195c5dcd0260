"""A Flink cluster's REST answers, whose form is checked and not trusted: `flink_master` may be any server."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from runners.flink.logged import reason_of_answer

_SECONDS = 10.0
_MOST_BYTES = 4 * 1024 * 1024
_CHUNK = 64 * 1024


class NoFlink(Exception):
    """Nothing answers, or not as Flink does; the message is one line."""


def rest_url(master: str) -> str:
    """The URL of `--flink_master`, `host:port` or with http(s) before it. Raises `NoFlink` for any other text."""
    text = master.strip().rstrip("/")
    url = text if text.startswith(("http://", "https://")) else f"http://{text}"
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port is not None and not parts.username and not parts.query
    except ValueError:
        whole = False
    if not whole:
        raise NoFlink(f"{master!r} is not an address; expected: host:port, or http(s)://host:port")
    return url


def ask(url: str, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> Any:
    """The JSON that a request gives; an empty answer is `{}`.

    Raises:
        NoFlink: no answer within 10 s, an error, too long an answer, or something that is not JSON.
    """
    until = time.monotonic() + _SECONDS
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            return json.loads(_read(response, until) or b"{}")
    except urllib.error.HTTPError as error:
        raise NoFlink(f"{path}: {_line(error)} {reason_of_answer(_reason(error, until))}".rstrip()) from None
    except (OSError, http.client.HTTPException) as error:  # the second: it died in the middle of its answer
        cause = getattr(error, "reason", error)  # urllib's own message is `<urlopen error …>`
        said = cause.strerror if isinstance(cause, OSError) else None
        raise NoFlink(f"{path}: {said or _line(cause) or 'the connection was closed'}") from None
    except (ValueError, RecursionError):
        raise NoFlink(f"{path}: the answer is not JSON; expected: Flink's REST interface") from None


def _line(text: object) -> str:
    return " ".join(str(text).split())[:200]


def _reason(error: urllib.error.HTTPError, until: float) -> str:
    """Flink's message for an error, in the body of its answer, which is as untrusted as any other."""
    try:
        return _read(error, until).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""


def _read(response: http.client.HTTPResponse | urllib.error.HTTPError, until: float) -> bytes:
    """The whole answer, within a time limit: a server that sends a byte now and then would keep each single read within
    its timeout."""
    read = bytearray()
    while chunk := response.read1(_CHUNK):
        read += chunk
        if len(read) > _MOST_BYTES:
            raise OSError(f"the answer is too large; expected: at most {_MOST_BYTES} bytes")
        if time.monotonic() > until:
            raise OSError(f"the answer did not end in time; expected: within {_SECONDS:.0f} s")
    return bytes(read)


def number(document: Any, key: str, path: str) -> int:
    """A whole number of an answer. Raises `NoFlink`."""
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise NoFlink(f"{path}: {key} is {str(value)[:40]!r}; expected: a whole number, as Flink gives it")
    return value


def text(document: Any, key: str, path: str) -> str:
    """A text of an answer. Raises `NoFlink`."""
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise NoFlink(f"{path}: {key} is {str(value)[:40]!r}; expected: a text, as Flink gives it")
    return value


def configuration(url: str) -> dict[str, str]:
    """The job manager's configuration. Raises `NoFlink`."""
    path = "/jobmanager/config"
    entries = ask(url, path)
    if not isinstance(entries, list):
        raise NoFlink(f"{path}: the answer is not a list; expected: one, as Flink gives it")
    return {text(entry, "key", path): text(entry, "value", path) for entry in entries}


def task_managers(url: str) -> list[dict[str, Any]]:
    """The task managers. Raises `NoFlink`."""
    path = "/taskmanagers"
    document = ask(url, path)
    found = document.get("taskmanagers") if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise NoFlink(f"{path}: the answer has no list of task managers; expected: one, as Flink gives it")
    return found
