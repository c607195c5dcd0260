"""A server on loopback that answers as a test wants, well or badly: any program may listen at an address."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What Flink 1.19 said of a session cluster with two task managers (docs/flink.md).
FLINK: Mapping[str, Any] = {
    "/overview": {"taskmanagers": 2, "slots-total": 4, "slots-available": 3, "flink-version": "1.19.3"},
    "/jobmanager/config": [
        {"key": "state.checkpoints.dir", "value": "file:///tmp"},
        {"key": "restart-strategy.type", "value": "exponential-delay"},
        {"key": "parallelism.default", "value": "2"},
    ],
    "/taskmanagers": {
        "taskmanagers": [
            {"hardware": {"physicalMemory": 8 * 1024**3}, "memoryConfiguration": {"totalProcessMemory": 3 * 1024**3}}
        ]
    },
}


@contextlib.contextmanager
def answering(answers: Mapping[str, Any]) -> Iterator[str]:
    """`host:port` of a server: documents as JSON, bytes as they are, None is no answer at all, the rest is a 404."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path, b"")
            if answer is None:
                done.wait(30)
                return
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged: the test reports what it saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()
