"""Plug-ins by entry points: a small real distribution adds a source, a sink and aggregates; broken ones are named."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest

import halflife
import halflife.beam
from halflife import errors
from pipeline.run import run as command
from tests.api import flights
from tests.models import bundle_folders as bundles
from tests.pipeline.jobs.flows import read_avro

MODULE = '''
import json
from pathlib import Path

import apache_beam as beam
import pyarrow as pa


class Lines:
    """Records of a JSON file, `acmelines://PATH`."""

    interface = 1
    bounded = True

    def __init__(self, uri):
        self.path = Path(uri.removeprefix("acmelines://"))
        if self.path.suffix != ".jsonl":
            raise ValueError("a file that ends in .jsonl")
        self.records = [json.loads(line) for line in self.path.read_text().splitlines()]

    def describe(self):
        return f"{len(self.records)} records of {self.path}"

    def sample(self):
        yield pa.RecordBatch.from_pylist(self.records[:10])

    def read(self):
        return beam.Create(self.records)


class Append:
    """Counts of records, appended to a file, `acmelog://PATH`."""

    interface = 1

    def __init__(self, uri, record):
        self.path, self.record = uri.removeprefix("acmelog://"), record

    def check(self):
        with open(self.path, "a"):
            pass

    def write(self):
        return beam.Map(put, self.path, self.record)


def put(batch, path, record):
    with open(path, "a") as file:
        for row in batch.to_pylist():
            file.write(json.dumps([record, row["event_id"], row["score"]]) + "\\n")


class Spread:
    """The distance of the largest and the smallest."""

    interface, gives, of_texts = 1, "number", False

    @staticmethod
    def answer(values, counts):
        return values[-1] - values[0]


class Repeated:
    """How many events have a value that is not the only one of its kind."""

    interface, gives, of_texts = 1, "integer", True

    @staticmethod
    def answer(values, counts):
        return counts[counts > 1].sum()


class Mute:
    interface, gives = 1, "text"


class Old:
    interface = 0
'''
POINTS = """
[halflife.sources]
acmelines = acme_plug:Lines
acmebroken = acme_broken:Lines
acmegone = acme_plug:Gone
acmeold = acme_plug:Old
kafka = acme_stolen:Lines
file = acme_stolen:Lines

[halflife.sinks]
acmelog = acme_plug:Append
pubsub = acme_stolen:Append

[halflife.aggregates]
acme_spread = acme_plug:Spread
acme_repeated = acme_plug:Repeated
acme_mute = acme_plug:Mute
acme_broken = acme_broken:Spread
mean = acme_stolen:Spread

[halflife.scorers]
linear = acme_stolen:Linear
"""


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on Python's path with an installed distribution, as pip would leave it."""
    folder = tmp_path_factory.mktemp("site")
    information = folder / "acme_plug-2.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plug\nVersion: 2.1\n")
    (information / "entry_points.txt").write_text(POINTS)
    (folder / "acme_plug.py").write_text(textwrap.dedent(MODULE))
    (folder / "acme_broken.py").write_text("import acme_library_that_is_not_there\n")
    (folder / "acme_stolen.py").write_text("raise SystemExit('a plug-in stands in for a built-in')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    """A job over JSON lines that a plug-in reads, and that writes its scores with one."""
    store = flights.publish(tmp_path, "v1", tmp_path / "v1", bundles.linear(tmp_path))
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    lines = [event for event in flights.events() if event["delay"] != float("inf")]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    made = flights.spec(tmp_path)
    made["events"].update(uri=f"acmelines://{tmp_path}/in.jsonl")
    del made["events"]["format"]
    made["sinks"] = {"scores": f"acmelog://{tmp_path}/log", "dead_letters": str(tmp_path / "letters")}
    return made


def test_source_and_sink_of_a_plug_in_are_those_of_a_job(spec: dict[str, Any], tmp_path: Path) -> None:
    summary = halflife.run(spec)
    assert (summary["scored"], summary["dead_letters"]["decode"]) == (42, 2)
    assert summary["job"]["events"]["format"] == "arrow"
    rows = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    plain = {**spec, "events": {**spec["events"], "uri": str(tmp_path / "in.jsonl"), "format": "json"}}
    halflife.run({**plain, "sinks": {"scores": str(tmp_path / "scores")}})
    known = [["Score", one["event_id"], one["score"]] for one in read_avro(tmp_path / "scores")]
    assert sorted(rows) == sorted(known)
    errors_found = {letter["event_id"]: letter["error"] for letter in read_avro(tmp_path / "letters")}
    assert errors_found == {"f41": "MissingInput", "f42": "MissingInput", "f43": "WrongType", "f45": "WrongType"}


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("acmebroken", "plug-in 'acmebroken' of acme-plug 2.1 cannot be imported from acme_broken:Lines: "
                       "No module named 'acme_library_that_is_not_there'; expected: one that can"),
        ("acmegone", "plug-in 'acmegone' of acme-plug 2.1 cannot be imported from acme_plug:Gone"),
        ("acmeold", "plug-in 'acmeold' of acme-plug 2.1 has interface 0; expected: 1, that of this Halflife"),
        ("acmelines", "a file that ends in .jsonl"),
        ("acmenone", "expected: a path or a URI with one of the schemes file, gs"),
    ],
)  # fmt: skip
def test_plug_in_that_cannot_be_used_is_named_in_one_line(
    spec: dict[str, Any], tmp_path: Path, scheme: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec["events"]["uri"] = f"{scheme}://nothing"
    (tmp_path / "job.json").write_text(json.dumps(spec))
    assert command(["--job", str(tmp_path / "job.json")]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert said in captured.err
    with pytest.raises(errors.SpecError, match=r"^events\.uri: "):
        halflife.run(spec)


FOUND: list[dict[str, Any]] = []


def featured(spec: dict[str, Any], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    FOUND.clear()
    job = halflife.beam.job_of(spec)
    with beam.Pipeline("DirectRunner") as pipeline:
        good = (pipeline | beam.Create(events) | halflife.beam.AsEvents(job)).good
        _ = good | halflife.beam.WindowFeatures(job) | beam.Map(_keep)
    return FOUND


def _keep(batch: pa.RecordBatch) -> None:
    FOUND.extend(batch.to_pylist())


def test_aggregate_of_a_plug_in_is_computed_point_in_time(spec: dict[str, Any]) -> None:
    window = {"key": "carrier", "size": "20m", "every": "5m"}
    named = {"spread": "acme_spread", "low": "min", "high": "max", "mean": "mean"}
    windowed = [{"name": n, "column": "delay", "aggregate": each, **window} for n, each in named.items()]
    several = {"name": "several", "column": "carrier", "aggregate": "acme_repeated", **window, "key": "weekend"}
    count = {"name": "n", "column": "carrier", "aggregate": "count", **window, "key": "weekend"}
    changed = {**spec, "features": [*windowed, several, count]}
    del changed["events"]["uri"]
    changed["events"]["time_unit"] = "us"
    rows = featured(changed, flights.events()[:40])
    present = [row for row in rows if row["low"] is not None]
    assert (len(rows), len(present) > 20) == (40, True)
    assert all(row["spread"] == row["high"] - row["low"] for row in present)
    assert all(row["spread"] is None for row in rows if row["low"] is None)
    assert {row["several"] for row in rows if row["n"] == 1} == {0}
    assert any(row["several"] == row["n"] > 1 for row in rows)


@pytest.mark.parametrize(
    ("aggregate", "said"),
    [
        ("acme_broken", r"features\[0\]\.aggregate: plug-in 'acme_broken' of acme-plug 2\.1 cannot be imported from"),
        ("acme_mute", r"features\[0\]\.aggregate: plug-in 'acme_mute' has gives 'text', of_texts None"),
        ("acme_none", r"features\[0\]\.aggregate: 'acme_none' is not allowed; allowed: count, sum"),
    ],
)
def test_aggregate_that_cannot_be_used_is_named(spec: dict[str, Any], aggregate: str, said: str) -> None:
    window = {"name": "w", "key": "carrier", "column": "delay", "size": "1h", "every": "5m"}
    with pytest.raises(errors.SpecError, match=said):
        halflife.run({**spec, "features": [{**window, "aggregate": aggregate}]})


def test_records_of_a_plug_in_have_no_format(spec: dict[str, Any]) -> None:
    spec["events"]["format"] = "json"
    with pytest.raises(errors.SpecError, match=r"events\.format: 'json' is not allowed; expected: none"):
        halflife.run(spec)


def test_sink_that_cannot_be_written_ends_the_run_before_it_begins(spec: dict[str, Any], tmp_path: Path) -> None:
    spec["sinks"]["scores"] = f"acmelog://{tmp_path}/no/log"
    with pytest.raises(errors.SinkUnwritable, match=r"sinks\.scores: acmelog://.*/no/log cannot be written: .*No such"):
        halflife.run(spec)


def test_plug_in_stands_in_for_nothing_built_in_and_is_imported_only_where_it_is_named(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("acme")]:
        monkeypatch.delitem(sys.modules, name)
    spec["events"].update(uri=str(tmp_path / "in.jsonl"), format="json")
    spec["sinks"] = {"scores": str(tmp_path / "scores")}
    assert halflife.run(spec)["scored"] == 42
    spec["events"].update(uri="kafka://127.0.0.1:1", format="json")
    with pytest.raises(errors.SpecError, match=r"events\.uri: 'kafka://127\.0\.0\.1:1' is not allowed"):
        halflife.run(spec)
    assert [name for name in sys.modules if name.startswith("acme")] == []


def test_public_protocols_are_those_of_this_interface() -> None:
    assert halflife.plug_ins.__all__ == ["INTERFACE", "AggregatePlugIn", "SinkPlugIn", "SourcePlugIn"]
    assert halflife.plug_ins.INTERFACE == 1
