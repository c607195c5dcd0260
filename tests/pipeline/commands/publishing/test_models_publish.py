"""`halflife models publish`: from what a training tool left to a version that a job would admit."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from models.profiles import parse_profile
from schemas.avro.files import AvroFileWriter
from tests.models import broken
from tests.models import bundle_folders as bundles
from tests.models.broken import new_key
from tests.models.bundle_folders import flights, write_bundle
from tests.pipeline.commands.commands import Models

NEW = ("--version", "n1", "--trained-at", "2013-03-01T00:00:00Z")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 flights as Parquet."""
    path = tmp_path_factory.mktemp("sample") / "sample.parquet"
    parquet.write_table(pa.Table.from_batches([flights(500)]), path)
    return path


@pytest.fixture(scope="session")
def skops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline fitted on a DataFrame with a string column."""
    folder = tmp_path_factory.mktemp("skops")
    bundles.sklearn_frame(folder)
    return folder / "model.skops"


def manifest(models: Models, version: str = "n1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(models.store.read_manifest(version).raw)
    return found


def test_skops_file_with_a_sample_becomes_a_whole_bundle(models: Models, skops: Path, sample: Path) -> None:
    ran = models("publish", skops, *NEW, "--sample", sample, "--by", "ann", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert (ran.json["published"], ran.json["scorer"], ran.json["checked"]) == (True, "sklearn", True)
    found = manifest(models)
    assert found["inputs"] == [
        {"name": "delay", "type": "number"},
        {"name": "distance", "type": "integer"},
        {"name": "weekend", "type": "boolean"},
        {"name": "carrier", "type": "string"},
    ]
    assert (found["output"], found["created_by"]) == ({"kind": "probability"}, "ann")
    assert models("check", "n1", "--json").json["admitted"]
    entry = models.json("access", "--action", "publish")["entries"][0]
    assert (entry["actor"], entry["version"], entry["digest"]) == ("ann", "n1", ran.json["digest"])


def test_sample_gives_golden_records_and_a_profile_with_the_score(
    models: Models, skops: Path, sample: Path, tmp_path: Path
) -> None:
    said = models("publish", skops, *NEW, "--sample", sample, "--json").json
    assert (said["golden_records"], said["profile_rows"]) == (20, 500)
    bundle = models.store.fetch("n1", tmp_path / "fetched")
    lines = [json.loads(line) for line in (bundle / "golden.jsonl").read_text().splitlines()]
    assert lines[0]["inputs"] == flights(500).slice(0, 1).to_pylist()[0]
    profile = parse_profile((bundle / "profile.json").read_bytes())
    assert [column.name for column in profile.columns] == ["carrier", "delay", "distance", "score", "weekend"]
    assert {column.n for column in profile.columns} == {500}


def test_golden_records_keep_the_nulls_that_a_default_replaces(
    models: Models, skops: Path, tmp_path: Path
) -> None:
    rows = flights(10).to_pydict()
    rows["delay"][7] = None
    parquet.write_table(pa.table(rows), tmp_path / "nulls.parquet")
    models.json("publish", skops, *NEW, "--sample", tmp_path / "nulls.parquet", "--input", "delay:number:nullable=5.5")
    bundle = models.store.fetch("n1", tmp_path / "fetched")
    lines = [json.loads(line)["inputs"]["delay"] for line in (bundle / "golden.jsonl").read_text().splitlines()]
    assert lines == rows["delay"]
    assert parse_profile((bundle / "profile.json").read_bytes()).columns[1].n == 10


def test_without_a_sample_it_says_what_is_missing(models: Models, skops: Path) -> None:
    ran = models("publish", skops, *NEW, "--input", "carrier:string")
    assert ran.code == 0
    assert "without --sample there are no golden records" in ran.err
    assert "golden" not in manifest(models)
    assert manifest(models)["inputs"][3] == {"name": "carrier", "type": "string"}


def test_everything_that_is_stated_is_in_the_manifest(models: Models, skops: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n")
    (tmp_path / "ids.csv").write_text("e1\n")
    models.json(
        "publish", skops, "--version", "n1", "--trained-at", "2013-03-01T01:00:00+01:00", "--code", "abc",
        "--param", "C=1.5", "--param", "name=x", "--hyperparameter", "depth=3", "--data", tmp_path / "train.csv",
        "--data", "s3://bucket/train.parquet", "--quality", "auc=0.75", "--records", tmp_path / "ids.csv",
        "--decision", "advice-7", "--created-by", "team", "--output", "probability", "--threshold", "0.5",
        "--positive", "True", "--input", "carrier:string:nullable=AA", "--input", "delay:number=1.5",
    )  # fmt: skip
    found = manifest(models)
    training = found["training"]
    assert training["trained_at"] == "2013-03-01T00:00:00Z"
    assert training["parameters"] == {"C": 1.5, "name": "x"}
    assert training["hyperparameters"] == {"depth": 3}
    assert [data["uri"].rpartition("/")[2] for data in training["data"]] == ["train.csv", "train.parquet"]
    assert (len(training["data"][0]["sha256"]), "sha256" in training["data"][1]) == (64, False)
    assert (training["records"], training["decision"], training["code"]) == ("records/ids.csv", "advice-7", "abc")
    assert found["output"] == {"kind": "probability", "threshold": 0.5, "positive": "True"}
    assert (found["quality"], found["created_by"]) == ({"auc": 0.75}, "team")
    assert found["inputs"][0] == {"name": "delay", "type": "number", "default": 1.5}
    assert found["inputs"][3] == {"name": "carrier", "type": "string", "nullable": True, "default": "AA"}


def test_the_folder_of_a_training_set_is_taken_as_records_if_it_has_one_file(
    models: Models, skops: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "features-1.csv").write_text("event_id\ne1\n")
    assert models("publish", skops, "--version", "n1", "--records", folder).code == 0
    assert manifest(models)["training"]["records"] == "records/features-1.csv"
    (folder / "features-2.csv").write_text("event_id\ne1\n")
    ran = models("publish", skops, "--version", "n2", "--records", folder)
    assert ran.code == 1
    assert "has 2 files: features-1.csv, features-2.csv; expected: a file, or a folder with one" in ran.err


def write_csv(folder: Path, rows: pa.RecordBatch) -> Path:
    csv.write_csv(rows, folder / "sample.csv")
    return folder / "sample.csv"


def write_avro(folder: Path, rows: pa.RecordBatch) -> Path:
    kinds = {"delay": "double", "distance": "long", "weekend": "boolean", "carrier": "string"}
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    with (folder / "sample.avro").open("wb") as file:
        writer = AvroFileWriter(file, json.dumps({"type": "record", "name": "Flight", "fields": fields}))
        writer.write(rows)
    return folder / "sample.avro"


def write_folder(folder: Path, rows: pa.RecordBatch) -> Path:
    (folder / "parts").mkdir()
    for part in (0, 1):
        table = pa.Table.from_batches([rows.slice(100 * part, 100)])
        parquet.write_table(table, folder / "parts" / f"part-{part}.parquet")
    return folder / "parts"


@pytest.mark.parametrize("write", [write_csv, write_avro, write_folder])
def test_sample_may_be_csv_avro_or_a_folder(models: Models, skops: Path, tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, flights(200))
    assert models.json("publish", skops, *NEW, "--sample", path)["profile_rows"] == 200


def test_sample_shows_which_inputs_may_be_null(models: Models, skops: Path, tmp_path: Path) -> None:
    rows = flights(100).to_pydict()
    rows["delay"][7] = None
    parquet.write_table(pa.table(rows), tmp_path / "nulls.parquet")
    models.json("publish", skops, *NEW, "--sample", tmp_path / "nulls.parquet")
    assert manifest(models)["inputs"][0] == {"name": "delay", "type": "number", "nullable": True}


def test_matrix_takes_its_columns_from_the_sample(models: Models, sample: Path, tmp_path: Path) -> None:
    bundles.sklearn_matrix(tmp_path / "matrix")
    columns = [each["name"] for each in bundles.NUMBERS]
    parquet.write_table(parquet.read_table(sample).select(columns), tmp_path / "numbers.parquet")
    models.json("publish", tmp_path / "matrix" / "model.skops", *NEW, "--sample", tmp_path / "numbers.parquet")
    assert [each["name"] for each in manifest(models)["inputs"]] == columns
    ran = models("publish", tmp_path / "matrix" / "model.skops", "--version", "n2", "--sample", sample)
    assert (ran.code, "are 4; expected: 3 in the model's order" in ran.err) == (1, True)


def test_saved_model_folder_is_published_by_its_signature(models: Models, sample: Path, tmp_path: Path) -> None:
    bundles.tensorflow_named(tmp_path / "tf")
    models.json("publish", tmp_path / "tf" / "model", *NEW, "--sample", sample, "--output", "probability")
    found = manifest(models)
    assert {each["name"]: each["type"] for each in found["inputs"]} == bundles.COLUMNS
    assert "model/saved_model.pb" in found["files"]
    assert models("check", "n1", "--json").json["admitted"]


def test_ready_bundle_keeps_its_bytes(models: Models, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    given = write_bundle(ready, bundles.with_golden(ready, bundles.document(version="r1")))
    assert models.json("publish", ready)["digest"] == given.digest
    ran = models("publish", ready, "--version", "r2")
    said = "--version 'r2' is not allowed; expected: 'r1', which the bundle's manifest has"
    assert (ran.code, said in ran.err) == (1, True)
    ran = models("publish", ready, "--threshold", "0.5")
    assert (ran.code, "--threshold cannot be given" in ran.err) == (1, True)


def test_bundle_that_admission_refuses_is_not_published(models: Models, tmp_path: Path) -> None:
    broken.golden_mismatch(tmp_path / "v9")
    document = json.loads((tmp_path / "v9" / "manifest.json").read_text()) | {"version": "v9"}
    write_bundle(tmp_path / "v9", {key: value for key, value in document.items() if key != "files"})
    ran = models("publish", tmp_path / "v9")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("halflife: not published: golden_mismatch: golden.jsonl line ")
    assert models("publish", tmp_path / "v9", "--json").json["reason"] == "golden_mismatch"
    assert "v9" not in models.store.versions()
    assert models("publish", tmp_path / "v9", "--no_check").code == 0
    assert "v9" in models.store.versions()


def test_version_is_published_once(models: Models, skops: Path) -> None:
    ran = models("publish", skops, "--version", "v1", "--input", "carrier:string")
    assert (ran.code, "'v1' of 'late' is already published" in ran.err) == (1, True)


def test_signed_version_is_admitted_where_the_key_is_trusted(models: Models, skops: Path, tmp_path: Path) -> None:
    keys, other = new_key(tmp_path / "keys"), new_key(tmp_path / "other")
    assert models.json("publish", skops, *NEW, "--sign_key", keys.private, "--trusted_key", keys.public)["signed"]
    assert models("check", "n1", "--trusted_key", keys.public, "--json").json["admitted"]
    assert models("check", "n1", "--trusted_key", other.public, "--json").json["reason"] == "bad_signature"
    assert models("check", "v1", "--trusted_key", keys.public, "--json").json["reason"] == "bad_signature"
    ran = models("publish", skops, "--version", "n2", "--trusted_key", keys.public)
    assert (ran.code, "not published: bad_signature" in ran.err) == (1, True)


def test_signing_a_ready_bundle_leaves_its_folder_alone(models: Models, tmp_path: Path) -> None:
    keys = new_key(tmp_path / "keys")
    broken.another_key(tmp_path / "bundle")
    before = (tmp_path / "bundle" / "model.sig").read_bytes()
    ready = Models(str(tmp_path / "elsewhere"))
    ready.json("publish", tmp_path / "bundle", "--sign_key", keys.private)
    assert (tmp_path / "bundle" / "model.sig").read_bytes() == before
    assert ready("check", "v1", "--trusted_key", keys.public, "--json").json["admitted"]


def test_pickle_is_published_only_where_allowed(models: Models, tmp_path: Path) -> None:
    broken.pickled(tmp_path / "pickled")
    words = ("publish", tmp_path / "pickled" / "model.pkl", *NEW, "--input", "delay:number")
    assert "is a pickle, which can run any code" in models(*words).err
    assert models.json(*words, "--allow_pickle")["scorer"] == "sklearn"
    assert "a pickle can run any code" in models("check", "n1", "--json").json["detail"]


def test_kind_without_files_is_published_by_its_settings(models: Models) -> None:
    words = ("--scorer", "elsewhere", "--input", "delay:number", "--output", "regression", "--setting", "url=http://x")
    models.json("publish", *NEW, *words, "--no_check")
    assert (manifest(models)["parameters"], manifest(models)["files"]) == ({"url": "http://x"}, {})
    assert models("check", "n1", "--json").json["reason"] == "unknown_scorer"


REFUSED = {
    "no file": (("absent.skops", *NEW), "absent.skops does not exist; expected: a SavedModel folder"),
    "no model": (("pyproject.toml", *NEW), "pyproject.toml is not a model"),
    "no path": (NEW, "PATH is missing"),
    "no version": (("{skops}",), "--version is missing"),
    "unknown input": (("{skops}", *NEW, "--input", "dely:number"), "--input 'dely' is not an input of the model"),
    "no sample": (("{skops}", *NEW, "--sample", "absent.csv"), "--sample absent.csv: there is no such file or folder"),
    "other sample": (("{skops}", *NEW, "--sample", "pyproject.toml"), "expected: a .parquet, .arrow, .csv, .json or"),
    "no key": (("{skops}", *NEW, "--input", "carrier:string", "--sign_key", "x.pem"), "signing key 'x.pem'"),
    "no registry": (("models:/late", *NEW), "'models:/late' is not allowed; expected: models:/NAME@ALIAS"),
    "bad name": (("{skops}", "--version", "../v", "--input", "carrier:string"), "version: '../v' is not allowed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unpublishable_model_is_refused_in_one_line(models: Models, skops: Path, case: str) -> None:
    words, message = REFUSED[case]
    ran = models("publish", *(word.replace("{skops}", str(skops)) for word in words))
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert message in ran.err
    assert models.store.versions() == ["v1", "v2", "v3"]


MISUSED = ["--input=n", "--input=n:float", "--input=n:integer=1.5", "--quality=auc", "--threshold=nan", "--param=x"]


@pytest.mark.parametrize("word", MISUSED)
def test_bad_usage_exits_with_2_and_one_line(models: Models, skops: Path, word: str) -> None:
    ran = models("publish", skops, *NEW, word)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "not allowed; expected: " in ran.err


def test_damaged_model_is_refused_in_one_line(models: Models, tmp_path: Path) -> None:
    for name in ("m.skops", "m.onnx", "m.ubj", "m.pmml"):
        (tmp_path / name).write_bytes(b"\x00damaged")
        ran = models("publish", tmp_path / name, *NEW)
        assert (ran.code, ran.err.count("\n"), "is not readable as a model of" in ran.err) == (1, 1, True), ran.err


def test_sample_with_a_null_that_is_not_allowed_names_the_row(models: Models, skops: Path, tmp_path: Path) -> None:
    rows = flights(50).to_pydict()
    rows["distance"][7] = None
    parquet.write_table(pa.table(rows), tmp_path / "nulls.parquet")
    words = ("--sample", tmp_path / "nulls.parquet", "--input", "distance:integer")
    ran = models("publish", skops, *NEW, *words)
    assert (ran.code, "sample row 8 has null in input 'distance'" in ran.err) == (1, True)


def test_nothing_secret_is_published_or_printed(
    models: Models, skops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")
    words = ("publish", skops, *NEW, "--input", "carrier:string")
    ran = models(*words, "--param", "key=hush-hush-hush")
    assert (ran.code, ran.err) == (
        1,
        "halflife: the manifest would hold the value of AWS_SECRET_ACCESS_KEY; expected: no secrets\n",
    )
    ran = models(*words, "--data", "s3://id:hush@bucket/train?sig=hush")
    assert ran.code == 0
    assert "hush" not in ran.out + ran.err + json.dumps(manifest(models))
    assert manifest(models)["training"]["data"] == [{"uri": "s3://bucket/train"}]


