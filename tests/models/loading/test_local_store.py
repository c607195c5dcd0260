"""Objects beside a bundle's files, or instead of one: a fault of one bundle is never an outage of the store."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models.admission.watcher import Progress
from tests.models.loading.test_watcher import admitted, in_folder, refused, release, watch

pytestmark = pytest.mark.usefixtures("gated")


def name_of_no_text(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/\xff\xfe", "wb"):
        pass


def link_to_itself(folder: Path) -> None:
    (folder / "weights").unlink()
    (folder / "weights").symlink_to("weights")


def link_in_a_circle(folder: Path) -> None:
    (folder / "up").symlink_to(".")


def pipe_for_a_payload(folder: Path) -> None:
    (folder / "weights").unlink()
    os.mkfifo(folder / "weights")


def pipe_for_a_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


def device_for_a_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").symlink_to("/dev/zero")


ODD: list[tuple[Callable[[Path], None], str | None]] = [
    (name_of_no_text, None), (link_to_itself, "incomplete"), (link_in_a_circle, None),
    (pipe_for_a_payload, "incomplete"), (pipe_for_a_manifest, "incomplete"), (device_for_a_manifest, "incomplete"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), ODD, ids=[change.__name__ for change, _ in ODD])
def test_odd_file_is_a_verdict_on_its_bundle(
    tmp_path: Path, change: Callable[[Path], None], reason: str | None
) -> None:
    store, versions = in_folder(tmp_path, "v1", "v2")
    for version in ("v1", "v2"):
        release(store, version)
    change(versions / "v1")
    polled = watch(store).poll(Progress(), 1)
    assert polled.unanswered == []
    assert refused(polled) == ([] if reason is None else [(1, reason)])
    assert admitted(polled) == ([1, 2] if reason is None else [2])


def test_odd_files_among_releases_delay_none(tmp_path: Path) -> None:
    store, versions = in_folder(tmp_path, "v1")
    release(store, "v1")
    releases = versions.parent / "releases"
    name_of_no_text(releases)
    (releases / "00000002.json").symlink_to("00000002.json")
    os.mkfifo(releases / "00000003.json")
    assert admitted(watch(store).poll(Progress(), 1)) == [1]
