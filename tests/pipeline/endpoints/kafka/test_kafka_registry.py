"""A schema registry's answers are untrusted: their size is bounded, and their schemas are vetted."""

import gzip
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.registry import RegistryUnreachable, SchemaUnknown, schema_of

LEVELS = '{"type": "array", "items": ' * 1_500 + '"long"' + "}" * 1_500
DEEP = f'{{"type": "record", "name": "E", "fields": [{{"name": "x", "type": {LEVELS}}}]}}'
TWICE = json.dumps({"type": "record", "name": "E", "fields": [{"name": "x", "type": "long"}] * 2})
GOOD = json.dumps({"type": "record", "name": "E", "fields": [{"name": "x", "type": "long"}]})
ANSWERS = {
    1: gzip.compress(b'{"schema": "' + b" " * 64 * 2**20 + b'"}'),
    2: gzip.compress(json.dumps({"schema": DEEP}).encode()),
    3: gzip.compress(json.dumps({"schema": TWICE}).encode()),
    4: gzip.compress(b"[" * 100_000),
    5: gzip.compress(json.dumps({"schema": GOOD}).encode()),
}


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the name that its base looks for
        body = ANSWERS[int(self.path.rpartition("/")[2])]
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def address() -> Iterator[KafkaAddress]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield KafkaAddress("broker:9092", "flights", registry=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("number", "says"), [(1, "at most 8388608"), (2, "deeply; allowed: at most 512"), (3, "appears twice: 'x'")]
)
def test_schema_that_no_event_can_be_read_by_is_named(address: KafkaAddress, number: int, says: str) -> None:
    with pytest.raises(SchemaUnknown, match=says):
        schema_of(b"\0" + number.to_bytes(4, "big"), address)


def test_an_answer_that_is_no_json_counts_as_none_and_the_next_is_read(address: KafkaAddress) -> None:
    with pytest.raises(RegistryUnreachable, match="does not answer"):
        schema_of(b"\0\0\0\0\4", address)
    assert schema_of(b"\0\0\0\0\5", address) == GOOD
