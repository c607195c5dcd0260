"""A gateway in front of `fake-gcs-server` that adds what it lacks of Cloud Storage; all other requests pass unchanged.

- obstore writes objects by `PUT /bucket/object` of the XML API: passed on as an upload of the JSON API, with its
  condition as `ifGenerationMatch`, so that the server itself decides.
- Google's Python client sends batches whose parts have no Content-ID, and the server skips such parts: they get one.
- `/token` hands out tokens for any key, so that clients sign in as they do elsewhere.
"""

import http.client
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlencode

from runners.flink.local.processes import LOOPBACK

_CONDITION = "x-goog-if-generation-match"
_HOP = ("host", "connection", "transfer-encoding", "keep-alive")


class GcsGateway:
    """Listens on loopback; `url` is what clients are led to, and `token` what they are handed."""

    token = "ya29.a-token-that-nobody-else-has"

    def __init__(self, upstream_port: int) -> None:
        self._http = ThreadingHTTPServer((LOOPBACK, 0), _handler_of(upstream_port))
        self.url = f"http://{LOOPBACK}:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _numbered(batch: bytes) -> bytes:
    numbers = itertools.count()
    head = re.compile(rb"content-type: application/http\r?\n", re.IGNORECASE)
    return head.sub(lambda found: found.group() + b"Content-ID: <%d>\r\n" % next(numbers), batch)


def _handler_of(upstream_port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/token":
                self._hand_out()
                return
            if self.path.startswith("/batch/"):
                content = _numbered(content)
            method, path = self._as_upload() if self.command == "PUT" else (self.command, self.path)
            own = (*_HOP, "content-length")
            kept = {name: value for name, value in self.headers.items() if name.lower() not in own}
            upstream = http.client.HTTPConnection(LOOPBACK, upstream_port, timeout=30)
            upstream.request(method, path, content, kept)
            answer = upstream.getresponse()
            self._answer(answer, answer.read())
            upstream.close()

        def _hand_out(self) -> None:
            answer = {"access_token": GcsGateway.token, "expires_in": 3600, "token_type": "Bearer"}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _as_upload(self) -> tuple[str, str]:
            bucket, _, name = self.path.partition("?")[0].lstrip("/").partition("/")
            query = {"uploadType": "media", "name": unquote(name)}
            if self.headers.get(_CONDITION) is not None:
                query["ifGenerationMatch"] = self.headers[_CONDITION]
            return "POST", f"/upload/storage/v1/b/{quote(unquote(bucket))}/o?{urlencode(query)}"

        def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
            self.send_response(answer.status)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            for name, value in answer.getheaders():
                if name.lower() not in (*_HOP, "content-length"):
                    self.send_header(name, value)
            if self.command == "PUT":  # the XML API answers with the object's tag, which the JSON API has in its body
                self.send_header("ETag", '"put"')
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815  # names that http.server calls

        def log_message(self, format: str, *arguments: object) -> None:
            """The server behind it keeps a log."""

    return Handler
