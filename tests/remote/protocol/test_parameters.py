"""Parameters say what is wrong with them: path, value, allowed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from models.bundles.manifest import InvalidManifest
from models.scorers import WillNotLoad, load_scorer
from models.scorers.remote.access import HOSTS
from models.scorers.remote.calls import CONCURRENCY
from tests.models.bundle_folders import INPUTS
from tests.remote.manifests import manifest

GOOD: dict[str, Any] = {"url": "http://127.0.0.1:1", "model": "late", "version": "3", "input": "x"}


def refusal(folder: Path, kind: str, parameters: dict[str, Any], **changes: Any) -> str:
    made = manifest(folder, kind, parameters, **changes)
    with pytest.raises(InvalidManifest) as caught:
        load_scorer(kind, folder, made)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": 7}, "parameters.url: 7 is not allowed; expected: the URL of the server"),
        ({"uri": "x"}, "parameters.uri: unknown key; allowed: circuit, classes, column, .*; did you mean 'url'"),
        ({"timeout_s": 0}, "parameters.timeout_s: 0 is not allowed; allowed: seconds from 0.01 to 600"),
        ({"deadline_s": 1e9}, "parameters.deadline_s: 1000000000.0 is not allowed"),
        ({"feed": "rows"}, "parameters.feed: 'rows' is not allowed; allowed: matrix, named"),
        ({"concurrency": 65}, "parameters.concurrency: 65 is not allowed; allowed: a whole number"),
        ({"headers": {"X": "AWS_SECRET_ACCESS_KEY"}}, "parameters.headers.X: no such name; expected: the name of an"),
        ({"headers": {"X\r\nY": "HALFLIFE_REMOTE_SECRET_X"}}, "parameters.headers: .* expected: names of headers"),
        ({"tls": {"key": "HALFLIFE_REMOTE_SECRET_K"}}, "parameters.tls: .* the keys certificate, key"),
        ({"datatypes": {"y": "FP32"}}, "parameters.datatypes.y: unknown key; expected: x"),
        ({"datatypes": {"x": "FP16"}}, "parameters.datatypes.x: 'FP16' is not allowed; allowed: BOOL, INT32"),
        ({"variant": "blue"}, "parameters.variant: unknown key; expected: for scorer 'tfserving' circuit,"),
        ({"version": "latest"}, "parameters.version: 'latest' is not allowed; expected: the number of a version"),
        ({"version": "9" * 30}, "parameters.version: '9999"),
        ({"url": "sagemaker://us-east-1/late"}, "parameters.url: .* expected: http://host"),
        ({"feed": "named"}, "parameters.input: 'x' is not allowed; expected: no `input` where feed is 'named'"),
    ],
)
def test_a_wrong_parameter_is_named(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert re.search(said, refusal(tmp_path, "tfserving", {**GOOD, **change}))


def test_a_secret_instead_of_a_name_is_not_shown(tmp_path: Path) -> None:
    said = refusal(tmp_path, "tfserving", {**GOOD, "headers": {"Authorization": "Bearer hunter2"}})
    assert "hunter2" not in said
    assert said.startswith("parameters.headers.Authorization: no such name; expected: the name of an environment")


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("tfserving", "version"), ("tfserving", "model"), ("tfserving", "url"), ("openinference", "model")],
)
def test_a_missing_parameter_is_named(kind: str, missing: str, tmp_path: Path) -> None:
    parameters = {key: value for key, value in GOOD.items() if key != missing}
    assert refusal(tmp_path, kind, parameters).startswith(f"parameters.{missing}: missing; expected: ")


def test_strings_need_inputs_by_name(tmp_path: Path) -> None:
    said = refusal(tmp_path, "tfserving", GOOD, inputs=INPUTS)
    assert said == "parameters.feed: 'matrix' is not allowed; expected: 'named', since carrier are strings"


def test_a_null_that_a_tensor_cannot_hold_will_not_load(tmp_path: Path) -> None:
    inputs = [{"name": "distance", "type": "integer", "nullable": True}]
    parameters = {**GOOD, "feed": "named"}
    del parameters["input"]
    made = manifest(tmp_path, "tfserving", parameters, inputs=inputs)
    with pytest.raises(WillNotLoad, match="'distance' may be null, and INT64 has no null; expected: a default"):
        load_scorer("tfserving", tmp_path, made)


def test_a_server_that_is_not_listed_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HALFLIFE_REMOTE_HOSTS")
    made = manifest(tmp_path, "tfserving", GOOD)
    with pytest.raises(WillNotLoad, match=r"http://127\.0\.0\.1:1 may not be asked .* HALFLIFE_REMOTE_HOSTS: none"):
        load_scorer("tfserving", tmp_path, made)


def test_every_parameter_and_variable_is_documented(root: Path) -> None:
    text = (root / "docs" / "remote-scorers.md").read_text("utf-8")
    schema = json.loads((root / "schemas" / "json" / "remote.schema.json").read_text("utf-8"))
    assert [name for name in schema["properties"] if f"`{name}`" not in text] == []
    assert [name for name in (HOSTS, CONCURRENCY) if f"`{name}`" not in text] == []
