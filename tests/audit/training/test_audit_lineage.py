"""Lineage both ways, against a reference that reads every file: score → version → training records, and a record or a
subject → the versions trained on it → the scores that they gave."""

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.asking.training.counting import count_named
from tests.audit.asking import altered, ask, one_of
from tests.audit.world import ROOT, TRAINED_ON, FlightsAudit
from tests.pipeline.commands.commands import halflife


def trained(flown: FlightsAudit) -> dict[str, list[dict[str, str]]]:
    """The training records of each version, read from the files of the store by nothing of ours."""
    found = {}
    for folder in sorted((flown.folder / "store" / "delays" / "versions").iterdir()):
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        if path := manifest["training"].get("records"):
            found[manifest["version"]] = list(csv.DictReader(io.StringIO((folder / path).read_text("utf-8"))))
    return found


def given(flown: FlightsAudit, versions: list[str]) -> dict[str, dict[str, int]]:
    """How many scores versions gave by role, each counted once."""
    distinct = {(one["version"], one["role"], one["score_id"]) for one in flown.receipts}
    return {version: dict(Counter(role for own, role, _ in distinct if own == version)) for version in versions}


@pytest.mark.parametrize("number", [0, 17, TRAINED_ON - 1, TRAINED_ON, 300])
def test_a_score_says_whether_its_version_was_trained_on_its_event_or_subject(flown: FlightsAudit, number: int) -> None:
    event = flown.events[number]
    for one in (each for each in flown.receipts if each["event_id"] == event["id"]):
        said = ask(flown, "score", one["score_id"], "--no_verify", "--json").json["trained_on"]
        records = trained(flown)[one["version"]]
        wanted = [sum(each[key] == value for each in records) for key, value in (
            ("event_id", event["id"]), ("subject", event["tailnum"]))]  # fmt: skip
        assert [said["of_event"], said["of_subject"]] == wanted
        assert said["file"] == "trained.csv"


def test_the_page_of_a_score_says_it_in_words(flown: FlightsAudit) -> None:
    first, last = (one_of(flown, event_id=flown.events[number]["id"]) for number in (0, 300))
    assert "1 record of trained.csv" in ask(flown, "score", first["score_id"], "--no_verify").out
    assert "no: not in trained.csv" in ask(flown, "score", last["score_id"], "--no_verify").out


@pytest.mark.parametrize("number", [0, TRAINED_ON])
def test_a_record_leads_to_all_scores_of_the_versions_trained_on_it(
    flown: FlightsAudit, tmp_path: Path, number: int
) -> None:
    event_id = flown.events[number]["id"]
    versions = [name for name, rows in trained(flown).items() if event_id in {row["event_id"] for row in rows}]
    doubled = altered(flown, tmp_path, *flown.receipts[:20])  # a retry counts once
    said = ask(flown, "record", event_id, "--scores", "--json", audit=doubled).json
    assert said["trained_versions"] == versions
    assert {name: each["scores"] for name, each in said["given"].items()} == given(flown, versions)
    assert ask(flown, "record", event_id, "--json").json["given"] is None


@pytest.mark.parametrize("number", [3, 300])
def test_a_subject_leads_to_all_scores_of_the_versions_trained_on_it(flown: FlightsAudit, number: int) -> None:
    subject = flown.events[number]["tailnum"]
    own = {event["id"] for event in flown.events if event["tailnum"] == subject}
    versions = [
        name for name, rows in trained(flown).items()
        if any(row["subject"] == subject or row["event_id"] in own for row in rows)
    ]  # fmt: skip
    said = ask(flown, "subject", subject, "--scores", "--json").json
    assert said["trained_versions"] == versions
    assert {name: each["scores"] for name, each in said["given"]["delays"].items()} == given(flown, versions)
    shown = ask(flown, "subject", subject, "--scores").out
    assert ("All that these versions answered" in shown) is bool(versions)


def test_a_version_gives_the_file_of_its_training_records(flown: FlightsAudit, tmp_path: Path) -> None:
    target = tmp_path / "records.csv"
    assert ask(flown, "version", "v1", "--records", target, "--json").code == 0
    assert list(csv.DictReader(target.open(encoding="utf-8"))) == trained(flown)["v1"]
    again = ask(flown, "version", "v1", "--records", target)
    assert (again.code, "expected: a file that does not exist yet" in again.err) == (2, True)
    without = ask(flown, "version", "v9", "--records", tmp_path / "none.csv")
    assert (without.code, "next: publish with --records FILE" in without.err) == (1, True)


def cells(value: Any) -> pa.Table:
    """Columns of all kinds, of which the third row has the value."""
    texts, numbers = [None, "a", value, "b"], [7, 8, 9, None]
    columns = {"text": texts, "number": numbers, "list": [["a"], None, ["b", value], []], "float": [1.5, 2.0, None, 3]}
    return pa.table({**columns, "coded": pa.array(texts).dictionary_encode()})


@pytest.mark.parametrize(("wanted", "rows"), [("N1", 1), ("9", 1), ("2.0", 1), ("b", 2), ("none", 0)])
def test_columns_of_every_kind_are_looked_through(wanted: str, rows: int) -> None:
    stream = io.BytesIO()
    pq.write_table(cells("N1"), stream)
    assert count_named(stream.getvalue(), "records.parquet", {wanted}) == rows


@pytest.mark.parametrize("raw", [b'event_id\n"say ""hi"""\n', b'event_id\r\n say "hi" \r\n', b'a|b\nx|"say ""hi"""'])
def test_a_value_with_quotes_is_found_in_a_table_of_text(raw: bytes) -> None:
    assert count_named(raw, "records.csv", {'say "hi"'}) == 1


PLAIN = [
    b"event_id,subject\ne1,ann\n e2 , bob\ne1,bob\n",
    b"e1\r\ne2\r\n\r\ne1\r\n",
    b"a;b\ne1;x;e2\ne1\n",
    b"\xff,e1\n",
    b"",
]


@pytest.mark.parametrize("raw", PLAIN)
@pytest.mark.parametrize("values", [{"e1"}, {"e2", "bob"}, {f"e{n}" for n in range(9)}, {""}])
def test_lines_of_text_are_counted_as_a_reader_of_csv_does(raw: bytes, values: set[str]) -> None:
    text = raw.decode("utf-8", "replace")
    rows = csv.reader(io.StringIO(text), delimiter=";" if ";" in text else ",")
    assert count_named(raw, "records.csv", values) == sum(any(cell.strip() in values for cell in row) for row in rows)


def test_what_dvc_says_of_the_training_data_is_on_the_pages(flown: FlightsAudit, tmp_path: Path) -> None:
    tracked = shutil.copytree(ROOT / "tests" / "data" / "tracked" / "dvc", tmp_path / "dvc")
    store = ("--store", shutil.copytree(flown.folder / "store", tmp_path / "store"), "--model", "delays")
    (tmp_path / "a.txt").write_bytes(b"x")
    done = halflife("models", "publish", tmp_path / "a.txt", "--version", "tracked", "--data",
                    f"{tracked}/dvc.lock:out/train.csv", "--no_check", "--scorer", "sklearn", "--output", "regression",
                    "--input", "x:number", *store)  # fmt: skip
    assert done.code == 0, done.err
    asked = ("audit", "version", "tracked", "--audit", flown.audit, *store)
    assert "md5=269eb77b41b74a0dda1e98d8c4ccfd9d, size=6, path=out/train.csv, stage=split" in halflife(*asked).out
    assert halflife(*asked, "--json").json["manifest"]["training"]["data"][0]["size"] == 6
