"""Where events of lineage go: a local file, a line each, or a server that takes OpenLineage over HTTP."""

import os
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from pipeline.endpoints.uris import beam_path, scheme_of

SCHEMES = ("file", "http", "https")
KEY = "OPENLINEAGE_API_KEY"
"""The environment variable with the server's API key, as OpenLineage's own clients have it."""
_ENDPOINT = "api/v1/lineage"
_SECONDS = 5.0

Send = Callable[[str], None]


def sender_to(uri: str) -> Send:
    """What takes an event as JSON to a file or a server, or raises whatever keeps it from there."""
    if scheme_of(uri) == "file":
        path = beam_path(uri)
        return lambda text: append_line(path, text)
    return _to_server(uri)


def append_line(path: str, text: str) -> None:
    """Appends a line, in one write at the file's end, so that several runs may share a file. Raises `OSError`."""
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    line = text.encode() + b"\n"
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(opened, line) != len(line):
            raise OSError(f"{path} took a part of a line only")
    finally:
        os.close(opened)


def _to_server(uri: str) -> Send:
    import requests

    parts = urlsplit(uri)
    path = parts.path if parts.path.strip("/") else f"/{_ENDPOINT}"
    url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    key = os.environ.get(KEY)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def send(text: str) -> None:
        # A server that sends a redirect gets neither the event nor the key twice.
        with requests.post(
            url, text.encode(), headers=headers, timeout=_SECONDS, allow_redirects=False, stream=True
        ) as answer:
            answer.raise_for_status()
            if not answer.ok or answer.is_redirect:
                raise OSError(f"it answered {answer.status_code}")

    return send
