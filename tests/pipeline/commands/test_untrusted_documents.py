"""Manifests and releases that others wrote, as large as they may be: refused at the first fault, at little cost."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from models.releases.release import Release, release_document
from tests.models.bundle_folders import document

_MIB = 1024 * 1024
_MOST_S, _MOST_BYTES = 20, 600 * _MIB  # of which Python, Arrow and the libraries of a store take half
RELEASE = release_document(Release(1, "late", 0, "v1", salt="s", by="ann"))
MANIFEST = {**document(), "files": {}}


class Cost(NamedTuple):
    """What a command printed, the CPU it took and the most memory it had."""

    out: str
    err: str
    seconds: float
    most_bytes: int


# The process reports its own peak: the system's figure for a child includes what its parent had when it was started.
PROGRAM = """
import sys
from pipeline.verbs import main

code = main(sys.argv[2:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
open(sys.argv[1], "w").write(peak.split()[1])
sys.exit(code)
"""


def measured(folder: Path, *words: object) -> Cost:
    """`halflife WORDS…` in a process of its own."""
    out, err, peak = folder / "out", folder / "err", folder / "peak"
    command = [sys.executable, "-c", PROGRAM, str(peak), *map(str, words)]
    with out.open("w") as printed, err.open("w") as said:
        _, _, used = os.wait4(subprocess.Popen(command, stdout=printed, stderr=said).pid, 0)
    return Cost(out.read_text(), err.read_text(), used.ru_utime + used.ru_stime, int(peak.read_text()) * 1024)


def zeros(size: int) -> list[int]:
    return [0] * (size // 2)


def keys(size: int, value: object) -> dict[str, object]:
    return {f"k{number}": value for number in range(size // (len(json.dumps(value)) + 10))}


RELEASES: list[tuple[Mapping[str, Any], str]] = [
    ({"challengers": zeros(_MIB - 1000)}, "challengers: [0, 0"),
    ({"shadows": zeros(_MIB - 1000)}, "shadows: [0, 0"),
    ({"digests": keys(_MIB - 1000, "x")}, "digests: {'k0': 'x'"),
    (keys(_MIB - 1000, 0), "k0: unknown key"),
]


@pytest.mark.parametrize(("changes", "problem"), RELEASES, ids=[problem for _, problem in RELEASES])
def test_release_of_a_mebibyte_is_refused_at_little_cost(
    tmp_path: Path, changes: Mapping[str, Any], problem: str
) -> None:
    folder = tmp_path / "store" / "late" / "releases"
    folder.mkdir(parents=True)
    (folder / "00000001.json").write_text(json.dumps({**RELEASE, **changes}, separators=(",", ":")))
    assert (folder / "00000001.json").stat().st_size > _MIB * 0.8
    cost = measured(tmp_path, "models", "timeline", "--store", tmp_path / "store", "--model", "late", "--json")
    assert json.loads(cost.out)["broken"][0]["problem"].startswith(problem)
    assert (cost.seconds < _MOST_S, cost.most_bytes < _MOST_BYTES) == (True, True), (cost.seconds, cost.most_bytes)


MANIFESTS: list[tuple[Mapping[str, Any], str]] = [
    ({"inputs": zeros(2_900_000)}, "inputs: [0, 0"),
    ({"trust": [""] * 900_000}, "trust: ['', ''"),
    ({"files": keys(7 * _MIB, "x")}, "files: {'k0': 'x'"),
    ({"training": {"trained_at": "2013-03-01T00:00:00Z", "data": zeros(2_900_000)}}, "training.data: [0, 0"),
    ({"quality": keys(7 * _MIB, "")}, "quality: {'k0': ''"),
    ({"x" * 7 * _MIB: 1}, "xxx"),
]


@pytest.mark.parametrize(("changes", "problem"), MANIFESTS, ids=[problem for _, problem in MANIFESTS])
def test_manifest_of_mebibytes_is_refused_at_little_cost(
    tmp_path: Path, changes: Mapping[str, Any], problem: str
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, **changes}, separators=(",", ":")))
    cost = measured(tmp_path, "models", "check", folder, "--json")
    found = json.loads(cost.out)
    assert (found["reason"], found["detail"].startswith(problem), len(found["detail"]) < 2001) == (
        "invalid_manifest", True, True
    )  # fmt: skip
    assert (cost.seconds < _MOST_S, cost.most_bytes < _MOST_BYTES) == (True, True), (cost.seconds, cost.most_bytes)


def test_limit_that_is_passed_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**MANIFEST, "trust": ["a"] * 1001}))
    cost = measured(tmp_path, "models", "check", tmp_path)
    assert "is not allowed; expected: a list of the full names of types, of at most 1000 items" in cost.err + cost.out


def subschemas(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for each in node for found in subschemas(each)]
    return [node, *(found for each in node.values() for found in subschemas(each))] if isinstance(node, dict) else []


@pytest.mark.parametrize("name", ["manifest", "release", "remote"])
def test_schemas_name_sizes_before_contents_and_unknown_keys_before_missing_ones(name: str) -> None:
    text = (resources.files("schemas") / "json" / f"{name}.schema.json").read_text()
    order = ["type", "minItems", "maxItems", "maxProperties", "items", "uniqueItems"]
    after = ["maxProperties", "propertyNames", "required", "properties"]
    for schema in subschemas(json.loads(text)):
        for wanted in (order, after):
            ordered = [key for key in schema if key in wanted and isinstance(schema.get("type"), str | list)]
            assert ordered == [key for key in wanted if key in ordered], schema
        if schema.get("additionalProperties") is False:
            assert list(schema).index("additionalProperties") < list(schema).index("properties")
