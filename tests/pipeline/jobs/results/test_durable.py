"""What a run leaves is whole or not there: files are synced before they get their name, the summary too."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting.summary import write_summary
from tests.pipeline.jobs.flows import Flow, json_lines, trips


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced and renamed, in order."""
    seen: list[tuple[str, str]] = []
    real_sync, real_rename, real_replace = os.fsync, os.rename, os.replace

    def fsync(handle: int) -> None:
        seen.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))
        real_sync(handle)

    def rename(source: Any, target: Any) -> None:
        seen.append(("rename", str(source)))
        real_rename(source, target)

    def replace(source: Any, target: Any) -> None:
        seen.append(("rename", str(source)))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "replace", replace)
    return seen


@pytest.mark.parametrize("format_name", ["avro", "parquet"])
def test_each_file_of_a_sink_is_synced_before_it_gets_its_name(
    flow: Flow, calls: list[tuple[str, str]], format_name: str
) -> None:
    flow.feed(json_lines(trips(3)))
    spec = flow.spec()
    spec["sinks"]["format"] = format_name
    assert flow.run(spec).code == 0
    renamed = [path for what, path in calls if what == "rename" and path.endswith(".partial")]
    assert {Path(path).parent.name for path in renamed} >= {"scores", "receipts", "models", flow.root.name}
    for path in renamed:
        assert ("sync", path) in calls[: calls.index(("rename", path))]
        assert ("sync", str(Path(path).parent)) in calls[calls.index(("rename", path)) :]


def test_summary_that_cannot_be_written_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_summary({"run": "first"}, str(path))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_summary({"run": "second"}, str(path))
    assert json.loads(path.read_text()) == {"run": "first"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["link", "mode"])
def test_summary_keeps_links_and_modes_of_files(flow: Flow, kind: str) -> None:
    flow.feed(json_lines(trips(1)))
    target = flow.root / "kept.json"
    target.write_text("{}")
    target.chmod(0o640)
    path = flow.root / "link.json" if kind == "link" else target
    if kind == "link":
        path.symlink_to(target)
    assert flow.run(flow.spec(), "--summary", str(path)).code == 0
    assert json.loads(target.read_text())["scored"] == 1
    assert (path.is_symlink(), target.stat().st_mode & 0o777) == (kind == "link", 0o640)
