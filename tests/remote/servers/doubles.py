"""A clock that tests turn, and an HTTP server on a free loopback port that answers as a test says."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from models.scorers.remote.calls import Pace


class Reply(NamedTuple):
    """What the server sends; `before` runs first, such as waiting for a test to go on."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    before: Callable[[], object] | None = None


class Request(NamedTuple):
    """A request that was received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Turned:
    """A clock that moves only by pauses and by hand, and remembers the pauses."""

    now: float = 100.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def pace(self, chance: float = 1.0) -> Pace:
        return Pace(lambda: self.now, self.sleep, lambda: chance)


class ScriptedServer:
    """Answers each request by `answer`, which a test may change; keeps the requests. TLS if given a context."""

    def __init__(self, answer: Callable[[Request], Reply], context: Any = None) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
                outer.requests.append(request)
                reply = outer.answer(request)
                if reply.before is not None:
                    reply.before()
                try:
                    self.send_response(reply.status)
                    for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(reply.body)
                except OSError:
                    self.close_connection = True  # the client has gone, as some tests want it to

            do_GET = do_POST = handle_any  # noqa: N815  # http.server calls them so

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is logged: tests read `requests`."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Nothing is logged: some tests are about clients that disconnect in the middle."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def posts(self) -> list[Request]:
        """The requests for scores."""
        return [request for request in self.requests if request.method == "POST"]

    def stop(self) -> None:
        """Stops listening on the port; a second call does nothing."""
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
