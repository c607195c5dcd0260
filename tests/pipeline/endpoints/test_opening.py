"""Sinks are opened by one function: a run creates what is missing, the doctor only looks."""

from pathlib import Path

import pytest

from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.sinks import check_writable, look_at
from pipeline.preflight.probes import check_sink


def test_a_run_makes_the_folder_that_an_examination_only_finds(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert look_at(str(folder), "sinks.scores", "Score") == f"{folder} can be written, and will be created"
    assert list(tmp_path.iterdir()) == []
    check_writable(str(folder), "sinks.scores", "Score")
    assert look_at(str(folder), "sinks.scores", "Score") == f"{folder} can be written"
    assert list(folder.iterdir()) == []


def test_sink_that_cannot_be_opened_is_neither_made_nor_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for opened in (check_writable, look_at):
        with pytest.raises(SinkUnwritable, match=r"sinks\.scores: .*file is a file; expected: a folder"):
            opened(str(tmp_path / "file"), "sinks.scores", "Score")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_examination_reports_what_it_found(tmp_path: Path) -> None:
    expected = {"stdout:": "standard output", str(tmp_path): f"{tmp_path} can be written"}
    found = {uri: [finding.found for finding in check_sink("sinks.drift", uri, "DriftStatistic")] for uri in expected}
    assert found == {uri: [said] for uri, said in expected.items()}
