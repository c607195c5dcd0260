"""Verbs of `models` look at a job's input in local files without Beam, which takes seconds to import, and only once."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest
from fastavro import parse_schema, writer

from tests.models.bundle_folders import INPUTS, document
from tests.pipeline.commands.commands import Models

JOB = """
job: flights
events: {{uri: "{uri}", event_id: id, event_time: t}}
features: [delay, carrier]
model: {{name: late, store: {store}}}
"""
VERBS = ("release --champion v1 --from first-event", "release --champion v2", "rollback --to 1", "check v1")
# Each verb in one process, whose standard error tells them apart.
PROGRAM = """
import contextlib, io, json, sys
from pipeline.verbs import main
said = {}
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    said[" ".join(words)] = [code, err.getvalue()]
print(json.dumps({"said": said, "beam": "apache_beam" in sys.modules}))
"""
ROWS = [{"id": f"e{n}", "t": f"2013-01-0{n}T06:00:00Z", "delay": n + 0.5, "carrier": "AA"} for n in range(1, 5)]
SCHEMA = {
    "type": "record", "name": "Flight",
    "fields": [{"name": name, "type": kind} for name, kind in
               (("id", "string"), ("t", "string"), ("delay", "double"), ("carrier", "string"))],
}  # fmt: skip


def inputs(folder: Path) -> dict[str, str]:
    """Events in files of several formats, and the URI of each: a file, a pattern, a folder."""
    for name in ("parts", "tables"):
        (folder / name).mkdir()
    table = pyarrow.Table.from_pylist(ROWS)
    pyarrow.csv.write_csv(table, folder / "flights.csv")
    for index, row in enumerate(ROWS[:2]):
        (folder / "parts" / f"{index}.json.gz").write_bytes(gzip.compress(json.dumps(row).encode() + b"\n"))
    pyarrow.parquet.write_table(table, folder / "tables" / "a.parquet")
    with open(folder / "flights.avro", "wb") as stream:
        writer(stream, parse_schema(SCHEMA), ROWS)
    return {"csv": "flights.csv", "json": "parts/[0-9].js*.gz", "parquet": "tables", "avro": "file:flights.avro"}


def two_inputs(version: str) -> dict[str, Any]:
    linear = {"intercept": 0.0, "coefficients": {"delay": 1.0}, "categories": {"carrier": {"AA": 0.3}}}
    return document(version=version, inputs=[INPUTS[0], INPUTS[3]], linear=linear)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("input")
    models = Models(str(folder / "store"))
    (folder / "bundle").mkdir()
    for version in ("v1", "v2"):
        models.store.publish(folder / "bundle", two_inputs(version))
    (folder / "bundle" / "manifest.json").write_text(json.dumps({**two_inputs("v3"), "files": {}}))
    lines = []
    for name, uri in inputs(folder).items():
        (folder / f"{name}.yaml").write_text(JOB.format(uri=uri, store=models.url))
        for verb in VERBS:
            lines.append(["models", *verb.split(), "--job", f"{name}.yaml"])
    lines.append(["models", "publish", "bundle", "--job", "csv.yaml"])
    command = [sys.executable, "-c", PROGRAM, json.dumps(lines)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_verbs_of_models_read_a_jobs_local_input_without_beam(ran: dict[str, Any]) -> None:
    assert {words: said for words, said in ran["said"].items() if said[0]} == {}
    assert ran["beam"] is False


def test_a_guess_of_the_format_is_told_once(ran: dict[str, Any]) -> None:
    told = {words: err.count("guessed from") for words, (_, err) in ran["said"].items()}
    assert len(told) == 17
    assert {words: number for words, number in told.items() if number != 1} == {}
