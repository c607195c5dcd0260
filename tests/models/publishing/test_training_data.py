"""Data sets of DVC and MLflow as training data: `halflife models publish --data`, on files that the tools wrote."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from models.publishing.description import CannotPublish
from models.publishing.training_data.stated import stated_data
from tests.pipeline.commands.commands import Models

ROOT = Path(__file__).parents[3]
RUN = "mlflow/mlruns/0/9a7de8b6daff4b46896765535b7371fb"
SINGLE = "mlflow/mlruns/0/29aa71f8215f4afdbab592075f32d408"
TRAIN = {"md5": "5d02e4d2354eae28589766cca211477d", "size": 9}
SPLIT = {"md5": "269eb77b41b74a0dda1e98d8c4ccfd9d", "size": 6, "path": "out/train.csv", "stage": "split"}
LOGGED = {"uri": "https://host.example/train.csv", "name": "train", "digest": "b064d295", "rows": 3}


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """The files of the tools, where no repository is."""
    return shutil.copytree(ROOT / "tests" / "data" / "tracked", tmp_path / "tracked")


def read(tracked: Path, text: str) -> dict[str, Any]:
    return stated_data(f"{tracked}/{text}", [])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dvc/data/train.csv.dvc", TRAIN | {"path": "train.csv"}),
        ("dvc/data/parts.dvc", {"md5": "469e14c599cce6cd69fda73ee76d6450.dir", "size": 4, "files": 2}),
        ("dvc/dvc.lock#fit", {"path": "model.txt", "stage": "fit"}),
        ("dvc/dvc.lock:out/train.csv", SPLIT),
        ("dvc/dvc.lock#split:out/train.csv", SPLIT),
        ("dvc/dvc.lock:data/train.csv", TRAIN | {"path": "data/train.csv", "stage": "split"}),
        ("dvc/imports/raw.csv.dvc", TRAIN | {"source": "../data/train.csv"}),
        ("dvc/imports/imported.dvc", {"source": "/tmp/registry", "source_path": "data/parts",
                                      "source_revision": "38f04c9ebca33fc5a0f1cff76343b3652d05def6"}),
        (f"{RUN}#train", LOGGED | {"context": "training", "run": Path(RUN).name}),
        (f"{RUN}/meta.yaml#eval", {"name": "holdout", "rows": 2, "source_type": "local"}),
        (f"{RUN}#4fb5574f", {"name": "holdout"}),
        (SINGLE, {"uri": "mlflow-dataset:dataset", "digest": "ebd67c81", "source_type": "code"}),
        ("mlflow/mlruns/0/datasets/49aec17fd4e10b4d0936c6c3eff2748a", LOGGED),
        ("mlflow/dataset.json", LOGGED),
    ],
)  # fmt: skip
def test_what_the_tools_say_of_a_data_set_is_taken(tracked: Path, text: str, wanted: dict[str, Any]) -> None:
    found = read(tracked, text)
    assert {key: found.get(key) for key in wanted} == wanted


def test_a_file_that_is_there_is_hashed_only_if_it_is_the_one_that_is_meant(tracked: Path) -> None:
    data, notes = tracked / "dvc" / "data" / "train.csv", list[str]()
    assert read(tracked, "dvc/data/train.csv.dvc")["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    data.write_text("id,x\n9,9\n")
    assert "sha256" not in stated_data(f"{data}.dvc", notes)
    assert "what is there now is not what" in notes[0]
    (tracked / "dvc" / "data" / "train.csv.dvc").write_text((tracked / "dvc/data/train.csv.dvc").read_text().replace(
        "path: train.csv", "path: ../../../secret"))  # fmt: skip
    (tracked.parent / "secret").write_text("password")
    assert "sha256" not in stated_data(f"{data}.dvc", notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dvc/dvc.lock", r"does not say which data set is meant; expected: .*#split:out/train\.csv.*#fit:model\.txt"),
        ("dvc/dvc.lock#split", "does not say which data set is meant; expected: .*#split:out/test.csv"),
        ("dvc/dvc.lock#fitt", "names no data set that is there; expected: .*#split:out/test.csv"),
        ("dvc/dvc.lock:out", "names no data set that is there; expected: "),
        ("dvc/data/test.csv.dvc", "there is no file .*test.csv.dvc; expected: a .dvc file or dvc.lock"),
        (RUN, r"has 2 data sets; expected: # and name, context or digest: .*#train \(training, digest b064d295\)"),
        (f"{RUN}#test", "#test fits none of its data sets; expected: .*#holdout"),
        ("mlflow/mlruns/0/meta.yaml", "is neither a run nor a data set of MLflow; expected: "),
    ],
)
def test_what_is_not_clear_is_refused_with_what_there_is(tracked: Path, text: str, said: str) -> None:
    with pytest.raises(CannotPublish, match=said):
        read(tracked, text)


OUTS = "outs:\n- md5: 5d02e4d2354eae28589766cca211477d\n  hash: md5\n  path: a\n"
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "tag": ("outs: !!python/object/apply:os.system ['false']\n", r"holds|has something|names no data set"),
    "alias": ("a: &a [x, x]\nouts: [*a, *a]\n", "line 2: an alias"),
    "twice": ("outs: []\nouts: []\n", "line 2: the key 'outs' twice"),
    "deep": ("outs: " + "[" * 2000 + "\n", "more than 50 levels"),
    "long": ("outs: []\n#" + "x" * 1_100_000, "has more than 1048576 bytes; expected: "),
    "no YAML": ("outs: [\n", "is not readable in line"),
    "no text": (b"\xff\xfe\x00", "is not readable"),
    "a list": ("- 1\n", "holds no mapping; expected: a .dvc file"),
    "no path": ("outs:\n- md5: 5d02e4d2354eae28589766cca211477d\n", "without a path in outs; expected: "),
    "no hash": ("outs:\n- path: a\n", "a has no hash; expected: one, such as dvc add"),
    "odd hash": ("outs:\n- path: a\n  md5: ../../x\n", "a has the md5 '../../x'; expected: one"),
    "nothing": ("", "holds no mapping"),
    "control characters": ("outs:\n- path: \"a\\eb\"\n  md5: x\n", "without a path"),
    "many": ("outs:\n" + "- {path: a, md5: 5d02e4d2354eae28589766cca211477d}\n" * 500, "and 480 more"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_is_not_what_dvc_writes_is_refused(tmp_path: Path, kind: str) -> None:
    raw, said = HOSTILE[kind]
    (tmp_path / "x.dvc").write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    with pytest.raises(CannotPublish, match=said):
        read(tmp_path, "x.dvc")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (OUTS.replace("5d02e4d2354eae28589766cca211477d", "12345678901234567890123456789012"), "1234567890123456789"),
        ("outs:\n- etag: '\"abc\"'\n  path: s3://key:hush@bucket/a?sig=hush\n", '"abc"'),
        ("schema: '2.0'\nstages:\n  s@1:\n    outs:\n    - {path: a, md5: 5d02e4d2354eae28589766cca211477d}\n", "s@1"),
        ("s:\n  outs:\n  - {path: a, md5: 5d02e4d2354eae28589766cca211477d}\n", "a"),
    ],
)
def test_hashes_of_digits_other_hashes_and_old_locks_are_read(tmp_path: Path, said: str, wanted: str) -> None:
    name = "x.dvc" if said.startswith("outs") else "dvc.lock"
    (tmp_path / name).write_text(said)
    found = read(tmp_path, name)
    assert wanted in str(found)
    assert "hush" not in str(found)


@pytest.mark.parametrize("changed", [False, True])
def test_the_revision_of_a_repository_is_that_which_has_the_file(tracked: Path, changed: bool) -> None:
    file, notes = tracked / "dvc" / "data" / "train.csv.dvc", list[str]()
    git = ["git", "-C", str(tracked), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "dvc"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    if changed:
        file.write_text(file.read_text() + "desc: another\n")
    found = stated_data(str(file), notes)
    assert found.get("revision") == (None if changed else head)
    assert [re.sub(head, "HEAD", note).partition("since ")[2] for note in notes] == (
        ["it is not in commit HEAD as it is now; next: commit it first"] if changed else [])  # fmt: skip


def test_files_of_data_are_still_files_of_data(tmp_path: Path) -> None:
    for name, text in {"rows.json": '{"name": 1}\n{"name": 2}\n', "a#b.csv": "x", "c:d.csv": "x"}.items():
        (tmp_path / name).write_text(text)
        assert read(tmp_path, name) == {
            "uri": f"{tmp_path}/{name}", "sha256": hashlib.sha256(text.encode()).hexdigest()}  # fmt: skip
    assert stated_data("s3://bucket/x.dvc", []) == {"uri": "s3://bucket/x.dvc"}


def test_publish_records_them_and_show_tells_them(tracked: Path, tmp_path: Path) -> None:
    models = Models(str(tmp_path / "store"))
    (tmp_path / "a.onnx").write_bytes(b"x")
    words = ("publish", tmp_path / "a.onnx", "--version", "v1", "--no_check", "--scorer", "sklearn", "--output",
             "regression", "--input", "x:number")  # fmt: skip
    refused = models(*words, "--data", tracked / "dvc" / "dvc.lock")
    assert (refused.code, "does not say which data set is meant" in refused.err) == (1, True)
    done = models(*words, "--data", f"{tracked}/dvc/dvc.lock#fit", "--data", f"{tracked}/{RUN}#train")
    assert done.code == 0, done.err
    dvc, mlflow = models.store.read_manifest("v1").training["data"]
    assert (dvc["stage"], mlflow["digest"]) == ("fit", "b064d295")
    assert models.store.read_manifest("v1").format == 2
    shown = models("show", "v1").out
    assert all(f"{key}={dvc[key]}" in shown for key in ("md5", "size", "path", "stage", "dvc"))
    assert f"digest={mlflow['digest']}" in shown


def test_a_folder_is_hashed_as_sha256sum_lists_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    for name, text in (("b.csv", "2"), ("part/a.csv", "1")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    ask = "find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    listed = subprocess.run(ask, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout.split()[0]
    assert stated_data(str(folder), []) == {"uri": str(folder), "sha256": listed, "files": 2, "size": 2}


def test_data_that_is_not_there_is_said_to_have_no_hash(tmp_path: Path) -> None:
    notes = list[str]()
    assert stated_data(f"{tmp_path}/none.csv", notes) == {"uri": f"{tmp_path}/none.csv"}
    assert "none.csv: nothing is there, so its sha256 is not recorded" in notes[0]
    assert stated_data("s3://bucket/none.csv", notes) == {"uri": "s3://bucket/none.csv"}
    assert len(notes) == 1
