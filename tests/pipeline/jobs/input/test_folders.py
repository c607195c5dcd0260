"""A folder without files, as events: the message says so, and names the pattern of the files further down."""

from pathlib import Path

import pytest

from pipeline.endpoints.matching import matching_files
from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips

FOLDERS: dict[str, tuple[str, str, str]] = {
    "empty": ("in", "in/", "it is a folder that holds no files"),
    "only folders": ("in", "in/2013/a.json", "it is a folder that holds only folders"),
    "three deep": ("in", "in/2013/01/01/a.json", "it is a folder that holds only folders"),
    "empty folders": ("in", "in/2013/01/", "it is a folder that holds no files"),
    "pattern": ("in/*", "in/2013/a.json", "only folders do"),
    "brackets": ("i[1]", "i[1]/b/a.json", "it is a folder that holds only folders"),
}


def lay(flow: Flow, made: str) -> None:
    """An empty folder, or a file of events in one."""
    path = flow.root / made
    (path if made.endswith("/") else path.parent).mkdir(parents=True)
    if not made.endswith("/"):
        path.write_bytes(json_lines(trips(3)))


@pytest.mark.parametrize(("uri", "made", "says"), FOLDERS.values(), ids=FOLDERS)
def test_folder_without_files_is_reported_with_the_pattern_of_those_below(
    flow: Flow, uri: str, made: str, says: str
) -> None:
    lay(flow, made)
    outcome = flow.run(flow.spec(uri=str(flow.root / uri)))
    assert outcome.code == 1
    assert said_nothing_of_python(outcome)
    assert says in outcome.err
    _, found, pattern = outcome.err.strip().partition("; next: --set events.uri=")
    assert bool(found) == made.endswith(".json")
    if found:
        assert matches(pattern.strip("'"), flow.root / made)


def matches(pattern: str, path: Path) -> bool:
    return matching_files(pattern) == [str(path)]
