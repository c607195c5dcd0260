"""Paths are the names of files and folders: no sign in one is read as a part of a URL, and few as a pattern."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.matching import matching_files
from tests.pipeline.jobs.flows import COLUMNS, Flow, json_lines, read_avro, said_nothing_of_python, trips

NAMES = ["models#staging", "what?", "a%20b", "a b", "x [1]", "über*", "q&a=b;c", "v:1", "%", "#", "user@host"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_store_a_sink_and_an_input(flow: Flow, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoy = name.partition("#")[0].partition("?")[0].replace("%20", " ")
    (flow.root / name).mkdir()
    flow.root.joinpath("store").rename(flow.root / name / "store")
    flow.feed(json_lines(trips(3)), f"{name}/in {name}")
    monkeypatch.chdir(flow.root)
    spec = flow.spec(uri=f"{name}/in {name}", columns=COLUMNS)
    spec["model"]["store"] = f"{name}/store"
    spec["sinks"] = {sink: f"{name}/{sink}" for sink in spec["sinks"]}
    outcome = flow.run(spec)
    assert outcome.code == 0, outcome.err
    assert outcome.summary["scored"] == 3
    assert outcome.summary["job"]["model"]["store"] == str(flow.root / name / "store")
    assert [len(read_avro(flow.root / name / sink)) for sink in ("scores", "audit/receipts", "dead_letters")] == [
        3,
        3,
        0,
    ]
    assert not (flow.root / decoy).exists() or decoy in ("", name)


@pytest.mark.parametrize("name", ["models#staging", "models?x", "models%20x"])
def test_store_beside_one_of_the_shorter_name_is_itself(flow: Flow, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.feed(json_lines(trips(2)))
    (flow.root / "store").rename(flow.root / name)
    (flow.root / "models").mkdir()
    spec = flow.spec(columns=COLUMNS)
    spec["model"]["store"] = str(flow.root / name)
    assert flow.run(spec).summary["scored"] == 2
    spec["model"]["store"] = f"file://{flow.root / name}".replace("%", "%25")
    outcome = flow.run(spec | {"sinks": {}})
    assert outcome.summary["scored"] == 2, outcome.err


@pytest.mark.parametrize("name", ["day [1].json", "day?.json", "*.json", ".hidden.json", "day 4.json.partial"])
def test_name_that_exists_is_that_file(tmp_path: Path, name: str) -> None:
    for each in (name, "day 1.json", "dayX.json"):
        (tmp_path / each).touch()
    assert matching_files(str(tmp_path / name)) == [str(tmp_path / name)]


@pytest.mark.parametrize("folder", ["in", "in [x]", "in*"])
def test_hidden_and_unfinished_files_are_no_input(flow: Flow, folder: str) -> None:
    (flow.root / folder / ".git").mkdir(parents=True)
    for name in (
        "day [1].json",
        "day 1.json",
        ".day 2.json",
        ".day 3.json.partial",
        "day 4.json.partial",
        ".git/x.json",
    ):
        flow.feed(json_lines(trips(1)).replace(b"t0", name.encode()), f"{folder}/{name}")
    for uri in (f"{folder}/*", folder, f"{folder}/", f"{folder}/**"):
        flow.root.joinpath("scores").mkdir(exist_ok=True)
        for path in flow.root.joinpath("scores").iterdir():
            path.unlink()
        outcome = flow.run(flow.spec(uri=str(flow.root / uri), columns=COLUMNS))
        assert outcome.code == 0, outcome.err
        assert {row["event_id"] for row in read_avro(flow.root / "scores")} == {"day [1].json", "day 1.json"}


def test_hidden_files_are_read_where_the_pattern_says_so(tmp_path: Path) -> None:
    (tmp_path / ".day 2.json").touch()
    assert matching_files(f"{tmp_path}/.day*") == [str(tmp_path / ".day 2.json")]
    with pytest.raises(NoInput, match="one hidden or unfinished file is left out"):
        matching_files(f"{tmp_path}/*.json")


@pytest.mark.parametrize("uri", ["day [2-1].json", "data/[z-a]*", "**/[é-a]x"])
def test_pattern_that_is_none_is_one_line(flow: Flow, uri: str) -> None:
    outcome = flow.run(flow.spec(uri=f"{flow.root}/{uri}"))
    assert (outcome.code, said_nothing_of_python(outcome)) == (1, True)
    assert f"{uri} cannot be listed: it is no pattern of file names: bad character range" in outcome.err


def test_folder_without_a_file_is_one_line(flow: Flow) -> None:
    (flow.root / "empty").mkdir()
    outcome = flow.run(flow.spec(uri=str(flow.root / "empty")))
    assert (outcome.code, said_nothing_of_python(outcome)) == (1, True)
    assert "no file matches" in outcome.err


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder deeper than Python's stack; removed here, as pytest's own removal is recursive."""
    folder = tmp_path / "tree"
    for _ in range(1100):
        folder.mkdir()
        folder = folder / "d"
    folder.mkdir()
    (folder / "in.json").write_bytes(json_lines(trips(2)))
    yield folder
    (folder / "in.json").unlink()
    os.removedirs(folder)


@pytest.mark.parametrize("uri", ["nowhere/*.json", "tree/nowhere/in*", "nowhere.json"])
def test_name_that_does_not_exist_costs_no_search_of_all_folders(flow: Flow, deep: Path, uri: str) -> None:
    outcome = flow.run(flow.spec(uri=f"{flow.root}/{uri}", columns=COLUMNS))
    assert (outcome.code, f"no file matches file://{flow.root}/{uri}" in outcome.err) == (1, True), outcome.err


@pytest.mark.parametrize("uri", ["tree/**.json", "tree/**/in.json"])
def test_pattern_of_all_folders_reads_the_deepest(flow: Flow, deep: Path, uri: str) -> None:
    outcome = flow.run(flow.spec(uri=f"{flow.root}/{uri}", columns=COLUMNS))
    assert (outcome.code, outcome.summary.get("scored")) == (0, 2), outcome.err


def test_pattern_in_the_middle_and_in_folders_with_brackets(tmp_path: Path) -> None:
    for name in ("a [1]/x1/in.json", "a [1]/x2/in.json", "a [1]/x2/deeper/in.json", "a [1]/y/in.json", "a 1/x/in.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [name.removeprefix(f"{tmp_path}/a [1]/") for name in matching_files(f"{tmp_path}/a [1]/x*/in.json")]
    assert found == ["x1/in.json", "x2/in.json"]
