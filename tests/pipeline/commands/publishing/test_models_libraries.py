"""Models made by another version of their library: refused, proven by the trainer's own answers, or accepted."""

import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from models.admission import libraries
from models.admission.watcher import Progress, Watcher
from schemas.job import ModelSpec
from tests.models.trained import FEATURES, LATE, lightgbm_named, xgboost_json
from tests.pipeline.commands.commands import Models
from tests.pipeline.commands.jobs import Patient

FOREST = Path(__file__).parents[3] / "data" / "sklearn_1_3_2"
HERE = libraries.installed("scikit-learn") or ""
NEW = ("--version", "n1", "--trained-at", "2013-03-01T00:00:00Z")
AB = ("--input", "a:number", "--input", "b:number")


def forest_answers(folder: Path, name: str) -> Path:
    """The forest's own answers, as scikit-learn 1.3.2 gave them."""
    rows = [line.split(",") for line in (FOREST / "sample.csv").read_text().split()[1:]]
    answers = json.loads((FOREST / "truth.json").read_text())[name]
    return golden_lines(folder, [(*row, score) for row, score in zip(rows, answers, strict=True)])


def golden_lines(folder: Path, rows: Sequence[Sequence[Any]]) -> Path:
    """JSON lines as in a bundle, of rows of a, b and score."""
    records = [{"inputs": {"a": float(a), "b": float(b)}, "score": float(score)} for a, b, score in rows]
    (folder / "golden.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder / "golden.jsonl"


def skops_by(path: Path, version: str, name: str = "LogisticRegression") -> Any:
    """A model whose file names another scikit-learn as its writer; its answers are those of the version here."""
    import skops.io
    from sklearn import linear_model

    model = getattr(linear_model, name)().fit(FEATURES.astype(float), LATE)
    skops.io.dump(model, path)
    with zipfile.ZipFile(path) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    parts["schema.json"] = parts["schema.json"].replace(HERE.encode(), version.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in parts.items():
            archive.writestr(entry, content)
    return model


def table_of(model: Any, path: Path) -> Path:
    """A table of the inputs with the column `score`."""
    rows = zip(FEATURES.tolist(), model.predict_proba(FEATURES.astype(float))[:, 1].tolist(), strict=True)
    path.write_text("a,b,score\n" + "".join(f"{a!r},{b!r},{score!r}\n" for (a, b), score in rows))
    return path


def admit(models: Models, job: str) -> tuple[int, list[tuple[str, str, str]]]:
    """What a start of the job does with all releases: how many it admits, and its events."""
    spec = ModelSpec(models.model, models.url, 1_000_000, False, 2**30)
    polled = Watcher(spec, {"a": "number", "b": "number"}, None, job).poll(Progress(), 0)
    events = [(event.kind, event.reason, event.evidence) for event in polled.events]
    return len(polled.admitted), events


@pytest.mark.parametrize("output", ["class", "probability"])
def test_forest_of_another_version_is_refused_naming_both(models: Models, output: str) -> None:
    sample = FOREST / "sample.csv"
    ran = models("publish", FOREST / "forest.skops", *NEW, "--sample", sample, "--output", output, "--json")
    assert (ran.code, ran.json["published"], ran.json["reason"]) == (1, False, "will_not_load")
    assert f"made by scikit-learn 1.3.2, but here is {HERE}" in ran.json["detail"]
    assert "n1" not in models.store.versions()


def test_trainers_answers_show_where_the_forest_answers_differently(models: Models, tmp_path: Path) -> None:
    golden = forest_answers(tmp_path, "class")
    ran = models("publish", FOREST / "forest.skops", *NEW, *AB, "--output", "class", "--golden", golden, "--json")
    assert (ran.code, ran.json["reason"]) == (1, "golden_mismatch")
    assert "scikit-learn 1.3.2" in ran.json["detail"]


@pytest.mark.parametrize("said", ["scikit-learn", "sklearn", f"scikit-learn={HERE}", "scikit-learn=1.3.2"])
def test_version_that_a_person_accepts_is_published_and_recorded(models: Models, said: str) -> None:
    words = (*NEW, *AB, "--output", "class", "--accept_library", said, "--by", "ann")
    ran = models("publish", FOREST / "forest.skops", *words, "--json")
    assert ran.code == 0, ran
    manifest = models.store.read_manifest("n1")
    assert (manifest.format, manifest.libraries["scikit-learn"]) == (2, "1.3.2")
    assert manifest.accepted_libraries == {"scikit-learn": HERE}
    assert any("accepted by ann" in line for line in ran.json["notes"])


@pytest.mark.parametrize(("said", "code"), [("scikit-learn=1.4", 1), ("numpy", 2), ("xgboost", 1)])
def test_library_that_is_not_accepted_stays_refused(models: Models, said: str, code: int) -> None:
    ran = models("publish", FOREST / "forest.skops", *NEW, *AB, "--output", "class", "--accept_library", said)
    assert (ran.code, ran.err.count("\n"), models.store.versions()) == (code, 1, ["v1", "v2", "v3"])


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_trainers_answers_that_hold_are_admitted_with_a_warning(models: Models, tmp_path: Path, form: str) -> None:
    model = skops_by(tmp_path / "m.skops", "1.2.2")
    golden = table_of(model, tmp_path / "golden.csv")
    if form == "jsonl":
        golden = golden_lines(tmp_path, [line.split(",") for line in golden.read_text().split()[1:]])
    assert models("publish", tmp_path / "m.skops", *NEW, *AB).code == 1
    ran = models("publish", tmp_path / "m.skops", *NEW, *AB, "--golden", golden, "--json")
    assert (ran.code, ran.json["golden_records"]) == (0, 200), ran
    manifest = models.store.read_manifest("n1")
    assert manifest.golden is not None
    assert (manifest.golden.by, manifest.libraries["scikit-learn"]) == ("trainer", "1.2.2")
    checked = models("check", "n1", "--json").json
    assert checked["admitted"]
    assert f"made by scikit-learn 1.2.2, but here is {HERE}" in checked["warnings"][0]


def test_library_that_cannot_read_the_model_is_named_with_both_versions(models: Models, tmp_path: Path) -> None:
    skops_by(tmp_path / "m.skops", "0.24.1")
    with zipfile.ZipFile(tmp_path / "m.skops") as archive:
        schema = archive.read("schema.json").replace(b'"LogisticRegression"', b'"OldRegression"')
    with zipfile.ZipFile(tmp_path / "m.skops", "w") as archive:
        archive.writestr("schema.json", schema)
    ran = models("publish", tmp_path / "m.skops", *NEW, *AB, "--output", "class")
    assert ran.code == 1
    assert re.search(rf"will_not_load.*made by scikit-learn 0.24.1, but here is {HERE}", ran.err), ran.err


def later_xgboost(folder: Path) -> Path:
    path = xgboost_json(folder)
    path.write_text(re.sub(r'"version":\[.*?\]', '"version":[99,1,0]', path.read_text()))
    return path


def earlier_xgboost(folder: Path) -> Path:
    path = xgboost_json(folder)
    path.write_text(re.sub(r'"version":\[.*?\]', '"version":[2,1,0]', path.read_text()))
    return path


def later_lightgbm(folder: Path) -> Path:
    path = lightgbm_named(folder)
    path.write_text(path.read_text().replace("version=v4", "version=v9"))
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [(later_xgboost, "made by xgboost 99.1.0"), (later_lightgbm, "made by lightgbm 9,"), (earlier_xgboost, "")],
)
def test_other_kinds_follow_what_their_makers_promise(
    models: Models, tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    path = make(tmp_path)
    inputs = () if make is later_lightgbm else AB
    ran = models("publish", path, *NEW, *inputs, "--json")
    assert ran.json["published"] is (says == ""), ran
    assert says in ran.json.get("detail", "")


def test_pickle_tells_its_version_without_being_opened(models: Models, tmp_path: Path) -> None:
    import joblib  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression().fit(FEATURES, LATE), tmp_path / "m.joblib")
    raw = (tmp_path / "m.joblib").read_bytes()
    (tmp_path / "m.joblib").write_bytes(raw.replace(HERE.encode(), b"1.1.1"[: len(HERE)]))
    ran = models("publish", tmp_path / "m.joblib", *NEW, *AB, "--allow_pickle", "--json")
    assert (ran.code, ran.json["reason"]) == (1, "will_not_load")
    assert "made by scikit-learn 1.1.1" in ran.json["detail"]


def test_upgraded_job_continues_with_what_it_admitted_and_refuses_the_rest(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skops_by(tmp_path / "m.skops", HERE)
    assert models("publish", tmp_path / "m.skops", *NEW, *AB).code == 0
    models.store.append_release(champion="n1", effective_from_us=0, by="tests")
    assert admit(models, "flights")[0] == 1
    entries = models.json("access", "--action", "admitted")["entries"]
    assert [(entry["job"], entry["version"]) for entry in entries] == [("flights", "n1")]
    monkeypatch.setattr(libraries, "installed", lambda library: "99.1.0")
    count, events = admit(models, "flights")
    assert count == 1
    assert "the job admitted this version before" in events[0][2]
    count, events = admit(models, "another job")
    assert (count, events[0][:2]) == (0, ("refused", "will_not_load"))
    assert f"made by scikit-learn {HERE}, but here is 99.1.0" in events[0][2]


def test_bundle_that_records_nothing_is_read_from_its_file_else_warned_of(models: Models, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    skops_by(tmp_path / "m.skops", HERE)
    bundle.mkdir()
    for version, content in (("old", b"1.3.2"), ("untold", b"unknown")):
        with zipfile.ZipFile(tmp_path / "m.skops") as archive, zipfile.ZipFile(bundle / "m.skops", "w") as out:
            for entry in archive.namelist():
                out.writestr(entry, archive.read(entry).replace(HERE.encode(), content))
        document = {
            "version": version, "scorer": "sklearn", "output": {"kind": "probability"}, "created_by": "tests",
            "inputs": [{"name": name, "type": "number"} for name in "ab"],
            "training": {"trained_at": "2013-01-01T00:00:00Z"},
        }  # fmt: skip
        models.store.publish(bundle, document)
    assert models("check", "old", "--json").json["reason"] == "will_not_load"
    found = models("check", "untold", "--json").json
    assert (found["admitted"], len(found["warnings"])) == (True, 1)
    assert "which version of scikit-learn made it is not recorded" in found["warnings"][0]


def test_doctor_lists_what_an_upgrade_would_refuse(tmp_path: Path) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    models = Models(str(tmp_path / "store"))
    model = skops_by(tmp_path / "m.skops", HERE)
    inputs = ("--input", "delay:number", "--input", "distance:number")
    assert models("publish", tmp_path / "m.skops", "--version", "v1", *inputs).code == 0
    golden = table_of(model, tmp_path / "golden.csv")
    golden.write_text(golden.read_text().replace("a,b,score", "delay,distance,score"))
    assert models("publish", tmp_path / "m.skops", "--version", "v2", *inputs, "--golden", golden).code == 0
    models.store.append_release(champion="v1", shadows=["v2"], effective_from_us=0, by="tests")
    said = patient.examined().said("upgrade of libraries")
    assert f"would refuse v1 (made by scikit-learn {HERE})" in said
    assert "v2" not in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no rows"),
        ('{"inputs": {"a": 1}}\n', "line 1 is not allowed"),
        ('{"inputs": {"a": 1, "b": 2}, "score": "x"}\n', "score \"x\" is not allowed"),
        ('{"inputs": {"a": 1}, "score": 0.5}\n', "has no column b"),
    ],
)  # fmt: skip
def test_wrong_file_of_golden_records_is_reported_in_one_line(
    models: Models, tmp_path: Path, content: str, says: str
) -> None:
    skops_by(tmp_path / "m.skops", HERE)
    (tmp_path / "golden.jsonl").write_text(content)
    ran = models("publish", tmp_path / "m.skops", *NEW, *AB, "--golden", tmp_path / "golden.jsonl")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert says in ran.err
