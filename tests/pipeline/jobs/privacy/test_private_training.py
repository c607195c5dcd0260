"""`halflife features` of a job with `privacy`: its files have no value of a person, the keys give the rows of a run in
plain, and an erasure takes the person's rows with it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import halflife
from halflife._training import RowsErased
from models.privacy.key_store import KeyStore
from models.store.backends import Backend
from pipeline.endpoints.errors import NoInput
from pipeline.verbs import main
from schemas.errors import UnusableData
from tests.models.bundle_folders import sklearn_frame
from tests.pipeline.jobs.flows import START_US, Flow, Outcome, json_lines
from tests.pipeline.jobs.private_flows import ALL, BROKEN, IDS, SUBJECTS, asked, erase, left_by, spec_of
from tests.pipeline.jobs.spelled import found_in, written

_SPLIT = ("--labels", "--split_at", "2013-01-01T00:20:00Z")


def features(flow: Flow, *words: str, plain: bool = False) -> Outcome:
    out = ("--out", str(flow.root / ("plain" if plain else "again")))
    (flow.root / "labels.json").write_bytes(json_lines(LABELS))
    outcome = flow.run(spec_of(flow, not plain), *out, *words, verb=lambda rest: main(["features", *rest]))
    assert outcome.code == 0, outcome.err
    return outcome


LABELS = [{"id": one, "known_at": START_US + 3_600_000_000, "late": n % 3} for n, one in enumerate(IDS)]
LABELS.append({"id": BROKEN[3], "late": BROKEN[4]})


def by_time(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: str(row["event_time"]))


def test_the_files_have_no_value_and_the_keys_give_the_rows(private: Flow) -> None:
    outcome = features(private)
    assert found_in(left_by(private, outcome), ALL) == set()
    features(private, plain=True)
    table = halflife.read_training(private.root / "again", private.root / "keys")
    plain = halflife.read_training(private.root / "plain")
    assert (by_time(table), table.schema) == (by_time(plain), plain.schema)
    assert len(by_time(table)) == 40
    with pytest.raises(UnusableData, match="rows are encrypted; expected: keys"):
        halflife.read_training(private.root / "again")


def test_labels_and_parts_are_encrypted_too(private: Flow) -> None:
    outcome = features(private, *_SPLIT, "--json")
    assert found_in(left_by(private, outcome), ALL) == set()
    assert json.loads(outcome.out)["split"] == {"at": "2013-01-01T00:20:00Z", "train": 0, "test": 20}
    features(private, *_SPLIT, plain=True)
    found = halflife.read_training(private.root / "again" / "test", private.root / "keys")
    assert by_time(found) == by_time(halflife.read_training(private.root / "plain" / "test"))
    assert "label" in found.schema.names
    assert found["label"].null_count == 0


def test_rows_of_an_erased_subject_are_gone_and_told(private: Flow) -> None:
    features(private)
    before = dict(written(private.root / "again"))
    erase(private, SUBJECTS[1])
    assert dict(written(private.root / "again")) == before
    with pytest.warns(RowsErased, match="8 of 40 rows are left out: the keys of their subjects were destroyed"):
        table = halflife.read_training(private.root / "again", private.root / "keys")
    assert (table.num_rows, set(table["subject"].to_pylist())) == (32, set(SUBJECTS) - {SUBJECTS[1]})
    shutil.rmtree(private.root / "keys")
    KeyStore(Backend(str(private.root / "keys"))).epochs()
    with pytest.raises(UnusableData, match=r"40 rows cannot be decrypted: the key store .* expected: the key store of"):
        halflife.read_training(private.root / "again", private.root / "keys")


def test_a_version_is_published_with_the_hashes_of_its_training_set(private: Flow, tmp_path: Path) -> None:
    features(private)
    sklearn_frame(tmp_path)
    folder, spec = str(private.root / "again"), spec_of(private, private=True)
    given = (str(tmp_path / "model.skops"), "--version", "v2", "--records", folder, "--data", folder, "--no_check")
    outcome = private.run(
        spec, *given, "--trained_at", "2013-03-01T00:00:00Z", verb=lambda rest: main(["models", "publish", *rest])
    )
    assert outcome.code == 0, outcome.err
    assert found_in(left_by(private, outcome), ALL) == set()
    for words in (("record", IDS[6]), ("subject", SUBJECTS[1])):
        assert "v2" in json.dumps(asked(private, spec, *words)[1])


def test_training_files_of_anybody_are_named_and_not_stumbled_over(private: Flow, tmp_path: Path) -> None:
    features(private)
    keys, whole = private.root / "keys", next((private.root / "again").glob("*.parquet"))
    table = pq.read_table(whole)
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(NoInput, match="has files without a row; expected: "):
        halflife.read_training(tmp_path / "none.parquet", keys)
    for name in ("event_id", "key_id", "row"):
        hidden = pa.nulls(table.num_rows, table.schema.field(name).type)
        index = table.schema.get_field_index(name)
        pq.write_table(table.set_column(index, table.schema.field(name), hidden), tmp_path / "null.parquet")
        with pytest.raises(UnusableData, match="rows cannot be decrypted"):
            halflife.read_training(tmp_path / "null.parquet", keys)
    pq.write_table(table.replace_schema_metadata({b"halflife.training_schema": b""}), tmp_path / "none.parquet")
    with pytest.raises(UnusableData, match="the schema of the rows cannot be read"):
        halflife.read_training(tmp_path / "none.parquet", keys)
