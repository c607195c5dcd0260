"""Objects among the releases that are none are counted by a run; a run without a folder of releases names that."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["3.json"], "among the releases of trips in {store} 1 thing that is none is passed over: trips/releases/3"),
        (["a b.json", "00000006.JSON", "x/y"], "3 things that are none are passed over, such as trips/releases/"),
        (["100000000.json"], "trips/releases/100000000.json: a name that no release has; expected: 8 digits and .json"),
    ],
)
def test_run_counts_what_is_no_release(flow: Flow, names: list[str], said: str) -> None:
    flow.feed(json_lines(trips(3)))
    for name in names:
        path = flow.root / "store" / "trips" / "releases" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    outcome = flow.run(flow.spec())
    assert (outcome.code, said_nothing_of_python(outcome)) == (0, True)
    assert said.format(store=flow.root / "store") in outcome.err
    assert "next: halflife models timeline" in outcome.err


def a_file(path: Path) -> str:
    path.write_text("x")
    return "a file"


def a_pipe(path: Path) -> str:
    os.mkfifo(path)
    return "a pipe"


def a_link_to_nothing(path: Path) -> str:
    path.symlink_to("nowhere")
    return "a link that leads nowhere"


@pytest.mark.parametrize("make", [a_file, a_pipe, a_link_to_nothing])
def test_releases_that_are_no_folder_end_a_run_with_one_line(flow: Flow, make: Callable[[Path], str]) -> None:
    flow.feed(json_lines(trips(3)))
    shutil.rmtree(flow.root / "store" / "trips" / "releases")
    what = make(flow.root / "store" / "trips" / "releases")
    outcome = flow.run(flow.spec())
    assert (outcome.code, said_nothing_of_python(outcome)) == (1, True)
    assert f"{flow.root / 'store'}: trips/releases is {what}; expected: a folder" in outcome.err
