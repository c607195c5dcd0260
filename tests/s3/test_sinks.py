"""Runs over sinks and a table in buckets of a real S3 server: earlier files are reported, refused or replaced."""

from pathlib import Path
from typing import Any

import pytest

from models.store.backends import Backend
from runners.flink.local.objects import S3Server
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro, trips

SINKS = ("scores", "audit", "drift", "dead_letters")


class Bucketed(Flow):
    """A flow whose sinks, and the table of a lookup, are in a bucket; `kept` is the folder that the server keeps it
    in."""

    kept: Path
    url: str

    def spec(self, format_name: str = "json", **events: Any) -> dict[str, Any]:
        whole = super().spec(format_name, **events)
        table = {"uri": f"{self.url}/tables/*.csv", "key": "code"}
        lookup = {"name": "plane", "table": table, "on": "carrier", "columns": ["year"]}
        features, sinks = [*whole["features"], "plane.year"], {name: f"{self.url}/out/{name}" for name in SINKS}
        return {**whole, "features": features, "lookups": [lookup], "sinks": sinks}


@pytest.fixture
def flow(s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Bucketed:
    """Ten trips and a line that is not a trip, a model, and sinks in a bucket of this test's own."""
    made = Bucketed(tmp_path, capsys)
    name = f"sinks-{abs(hash(request.node.name)) % 10**9}"
    made.url, made.kept = s3.create_bucket(name), s3.folder / "buckets" / name
    made.publish()
    Backend(made.url).create("tables/planes.csv", b"code,year\nA,1990\n")
    made.feed(json_lines(trips(10)) + b"{\n")
    return made


def names(flow: Bucketed, sink: str) -> list[str]:
    return sorted(path.name for path in (flow.kept / "out" / sink).rglob("*") if path.is_file())


def test_runs_into_a_bucket_are_distinguished_and_replaced_as_those_in_a_folder(flow: Bucketed) -> None:
    """All in one test: Beam makes an AWS client for each look at a bucket, so each run takes seconds."""
    first = flow.run(flow.spec())
    assert (first.code, len(read_avro(flow.kept / "out" / "scores"))) == (0, 10), first.err
    assert first.summary["without_row"] == {"plane": 5}
    (flow.kept / "out" / "scores" / "mine.avro").write_bytes(b"Obj\x01 and no more")
    before = {sink: names(flow, sink) for sink in SINKS}
    failed = flow.run(flow.spec(), "--sinks", "replace", "--max_dead_letters", "0")
    assert (failed.code, "nothing was replaced" in failed.err) == (1, True)
    assert all(set(before[sink]) <= set(names(flow, sink)) for sink in SINKS)
    refused = flow.run(flow.spec(), "--sinks", "new")
    assert (refused.code, "sinks.scores: " in refused.err) == (1, True)
    last = flow.run(flow.spec(), "--sinks", "replace")
    assert (last.code, "no run of job trips wrote" in last.err) == (0, True), last.err
    left = [name for sink in ("scores", "drift", "dead_letters") for name in names(flow, sink)]
    assert [name for name in left if last.summary["run"] not in name] == ["mine.avro"]
    receipts = read_avro(flow.kept / "out" / "audit" / "receipts")
    assert {one["run"] for one in receipts} == {each.summary["run"] for each in (first, failed, last)}
