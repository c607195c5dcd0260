"""`halflife models publish` for a job with `privacy`: no value of a person is in the bundle."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pyarrow import csv, parquet

from audit.asking.training.trained_on import trained_on
from models.privacy.identities import identity_of_event, identity_of_subject
from models.privacy.key_store import KeyStore
from models.profiles import parse_profile
from models.store.backends import Backend
from tests.models import bundle_folders as bundles
from tests.models.bundle_folders import flights
from tests.pipeline.commands.commands import Models, Ran, halflife

NEW = ("--version", "n1", "--trained-at", "2013-03-01T00:00:00Z")
PEOPLE = [f"person-{number}@example.com" for number in range(40)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a sample of 40 rows whose values can be searched for, and training records."""
    folder = tmp_path_factory.mktemp("trained")
    bundles.sklearn_frame(folder)
    table = pa.Table.from_batches([flights(40)])
    carriers = [f"CARRIER-OF-{number}" for number in range(40)]
    table = table.set_column(3, "carrier", pa.array(carriers))
    parquet.write_table(table, folder / "sample.parquet")
    records = pa.table({"event_id": [f"event-{n}" for n in range(40)], "subject": PEOPLE, "income": range(40)})
    csv.write_csv(records, folder / "ann-records.csv")
    parquet.write_table(records, folder / "records.parquet")
    (folder / "ids.txt").write_text("".join(f"event-{n}\n" for n in range(3)) + PEOPLE[0] + "\n")
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Path:
    spec = {
        "job": "late",
        "events": {
            "uri": str(tmp_path / "events.parquet"), "format": "parquet", "event_id": "id", "event_time": "at",
            "subject": "mail", "columns": {"id": "string", "at": "timestamp", "mail": "string",
                                           **dict(bundles.COLUMNS)},
        },
        "features": list(bundles.COLUMNS),
        "model": {"name": "late", "store": str(tmp_path / "store")},
        "privacy": {"keys": str(tmp_path / "keys"), "hide": ["carrier", "delay"]},
    }  # fmt: skip
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(spec))
    parquet.write_table(_events(), tmp_path / "events.parquet")
    return path


def _events() -> pa.Table:
    own = {"id": ["a", "b"], "at": pa.array([0, 1], pa.timestamp("us", "UTC")), "mail": PEOPLE[:2]}
    return pa.table({**flights(2).to_pydict(), **own})


def published(trained: Path, *where: object, records: str = "ann-records.csv") -> Ran:
    sample = ("--sample", trained / "sample.parquet", "--records", trained / records)
    return halflife("models", "publish", trained / "model.skops", *NEW, *sample, *where)


def bundle(folder: Path, version: str = "n1") -> Path:
    return folder / "store" / "late" / "versions" / version


def hashes(folder: Path, *identities: bytes) -> list[str]:
    [epoch] = KeyStore(Backend(str(folder / "keys"))).epochs().all
    return [str(each) for each in epoch.pseudonyms(identities)]


def test_bundle_of_a_job_with_privacy_has_no_value_of_a_person(trained: Path, job: Path, tmp_path: Path) -> None:
    done = published(trained, "--job", job, "--json")
    assert done.code == 0, done.err
    assert done.json["privacy"] == {"epoch": 1, "hidden": ["carrier", "delay", "mail"]}
    written = b"".join(path.read_bytes() + path.name.encode() for path in bundle(tmp_path).rglob("*") if path.is_file())
    delays = [str(value) for value in parquet.read_table(trained / "sample.parquet").column("delay").to_pylist()]
    searched = [*PEOPLE, "event-7", "CARRIER-OF", "ann-records", *delays]
    assert [text for text in searched if text.encode() in written] == []
    plain = halflife("models", "publish", trained / "model.skops", *NEW, "--sample", trained / "sample.parquet",
                     "--store", tmp_path / "other", "--model", "late")  # fmt: skip
    golden = (tmp_path / "other/late/versions/n1/golden.jsonl").read_text()
    assert (plain.code, "CARRIER-OF" in golden, delays[0] in golden) == (0, True, True)


def test_records_are_hashes_by_which_versions_are_found(trained: Path, job: Path, tmp_path: Path) -> None:
    for index, name in enumerate(("ann-records.csv", "records.parquet", "ids.txt")):
        done = published(trained, "--job", job, "--version", f"m{index}", records=name)
        assert done.code == 0, done.err
    store = Models(str(tmp_path / "store")).store
    subject, event = hashes(tmp_path, identity_of_subject(PEOPLE[0]), identity_of_event("event-2"))
    strange = hashes(tmp_path, identity_of_event(PEOPLE[0]), identity_of_subject("event-99"))
    for value in (subject, event):
        assert [each.version for each in trained_on(store, {value}).versions] == ["m0", "m1", "m2"]
    assert [each.version for each in trained_on(store, set(strange)).versions] == [
        "m2"
    ]  # it says of no value what it is
    lines = (bundle(tmp_path, "m0") / "records" / "records.csv").read_text().splitlines()
    assert (len(lines), {line.count("h1:") for line in lines}) == (40, {2})


def test_golden_records_are_made_up_and_the_profile_lacks_what_is_hidden(
    trained: Path, job: Path, tmp_path: Path
) -> None:
    published(trained, "--job", job)
    lines = (bundle(tmp_path) / "golden.jsonl").read_text().splitlines()
    made = [json.loads(line)["inputs"] for line in lines]
    rows = parquet.read_table(trained / "sample.parquet").to_pylist()
    people = {(row["distance"], row["weekend"]): row for row in rows}
    assert len(made) == 20
    assert all(row["carrier"].startswith("made up") for row in made)
    assert sum(people.get((row["distance"], row["weekend"]), {}).get("delay") == row["delay"] for row in made) == 0
    profile = parse_profile((bundle(tmp_path) / "profile.json").read_bytes())
    assert sorted(each.name for each in profile.columns) == ["distance", "score", "weekend"]
    assert halflife("models", "check", "n1", "--job", job, "--json").json["admitted"]


def test_show_and_check_say_what_a_bundle_leaves_out(trained: Path, job: Path) -> None:
    published(trained, "--job", job)
    said = "training records hashed in epoch 1; no values of carrier, delay, mail"
    for verb in ("show", "check"):
        page = halflife("models", verb, "n1", "--job", job)
        assert (page.code, said in page.out) == (0, True), page
    checked = halflife("models", "check", "n1", "--job", job, "--json").json
    assert (checked["privacy"], "warnings" in checked) == ({"epoch": 1, "hidden": ["carrier", "delay", "mail"]}, False)


def test_bundle_that_was_published_in_plain_is_warned_of_and_refused(trained: Path, job: Path, tmp_path: Path) -> None:
    where = ("--store", tmp_path / "store", "--model", "late")
    assert published(trained, *where).code == 0
    checked = halflife("models", "check", "n1", "--job", job, "--json")
    assert (checked.code, "published without privacy" in checked.json["warnings"][0]) == (0, True)
    ready = halflife("models", "publish", bundle(tmp_path), "--job", job)
    assert (ready.code, "in plain; expected: with privacy" in ready.err) == (1, True), ready


def test_trainers_answers_with_hidden_columns_are_refused(trained: Path, job: Path, tmp_path: Path) -> None:
    table = parquet.read_table(trained / "sample.parquet")
    parquet.write_table(table.append_column("score", pa.array([0.5] * 40)), tmp_path / "golden.parquet")
    done = published(trained, "--job", job, "--golden", tmp_path / "golden.parquet")
    assert (done.code, "--golden has delay, carrier, which privacy hides; next: --sample" in done.err) == (1, True), (
        done
    )


def test_keys_and_hidden_columns_can_be_named_without_a_job(trained: Path, tmp_path: Path) -> None:
    where = ("--store", tmp_path / "store", "--model", "late")
    lost = published(trained, *where, "--keys", tmp_path / "keys")
    assert (lost.code, "holds no keys; expected" in lost.err, (tmp_path / "keys").exists()) == (1, True, False)
    KeyStore(Backend(str(tmp_path / "keys"))).epochs()
    done = published(trained, *where, "--keys", tmp_path / "keys", "--hide", "weekend", "--json")
    assert done.json["privacy"] == {"epoch": 1, "hidden": ["weekend"]}
    alone = published(trained, *where, "--hide", "weekend")
    assert (alone.code, "--hide" in alone.err, "expected: only together with --keys" in alone.err) == (2, True, True)


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_made_up_rows_of_every_type_are_no_rows_of_the_sample(rows: int) -> None:
    from models.publishing.hiding import made_up_rows

    columns: dict[str, Any] = {
        "flag": pa.array([True, None] * rows)[:rows],
        "at": pa.array(range(rows), pa.timestamp("us", "UTC")),
        "count": pa.array([None, *range(rows)][:rows], pa.int64()),
        "mean": pa.array([12345.678] * rows),
        "nothing": pa.nulls(rows, pa.float64()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array([7.5] * (rows * 2), pa.float32()), 2),
        "name": pa.array([f"ann {number}" for number in range(rows)]),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    made = made_up_rows(batch, columns)
    assert made.schema.types == batch.schema.types
    assert made.num_rows == rows
    assert [text for text in ("12345", "ann") if text in str(made.to_pydict())] == []
    assert all(column.null_count == 0 for column in made.columns)
