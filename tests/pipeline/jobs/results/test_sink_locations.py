"""Locations that no sink may have: folders of the model store, the folder of another sink, names with blanks at the
ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.training_set import write_features
from tests.pipeline.commands.commands import halflife
from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips


def refused(flow: Flow, sinks: dict[str, Any], *arguments: str) -> str:
    """What a run and the doctor say of sinks that both refuse; neither leaves anything."""
    flow.feed(json_lines(trips(5)))
    before = sorted(flow.root.rglob("*"))
    outcome = flow.run(flow.spec() | {"sinks": sinks}, *arguments)
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True), outcome.err
    assert halflife("doctor", "--runner", "direct", "--job", flow.root / "job.yaml").code == 2
    assert sorted(flow.root.rglob("*")) in (before, sorted([*before, flow.root / "job.yaml"]))
    return outcome.err


@pytest.mark.parametrize("below", ["trips/versions", "trips", "trips/releases/", "", "other/versions/v1", "trips/mine"])
@pytest.mark.parametrize("sink", ["scores", "audit"])
def test_no_sink_is_in_a_model_of_the_store(flow: Flow, sink: str, below: str) -> None:
    uri = str(flow.root / "store") + f"/{below}"
    said = refused(flow, {sink: uri})
    assert f"sinks.{sink}: '/" in said
    assert f"{below}' is not allowed; expected: a folder outside the model store {flow.root / 'store'}" in said


def test_the_folders_of_an_audit_and_links_are_looked_at_too(flow: Flow) -> None:
    (flow.root / "audit").mkdir()
    (flow.root / "audit" / "models").symlink_to(flow.root / "store")
    assert "sinks.audit: " in refused(flow, {"audit": str(flow.root / "audit")})
    (flow.root / "link").symlink_to(flow.root / "store" / "trips")
    assert "sinks.scores: " in refused(flow, {"scores": str(flow.root / "link" / "versions")})


def test_a_sink_is_not_in_another_model_that_is_there(flow: Flow) -> None:
    (flow.root / "store" / "other" / "versions").mkdir(parents=True)
    assert "sinks.drift: " in refused(flow, {"drift": str(flow.root / "store" / "other" / "drift")})


SHARED: dict[str, Callable[[Path], dict[str, str]]] = {
    "two": lambda root: {"scores": f"{root}/out", "drift": f"{root}/out"},
    "another spelling": lambda root: {"scores": f"file://{root}/out", "dead_letters": f"{root}/x/../out/"},
    "receipts": lambda root: {"audit": f"{root}/a", "dead_letters": f"{root}/a/receipts"},
    "model events": lambda root: {"audit": f"{root}/a", "drift": f"{root}/a/models"},
    "a bucket": lambda root: {"scores": "s3://b/out", "drift": "s3://b/out/"},
}


@pytest.mark.parametrize("sinks", SHARED.values(), ids=SHARED)
def test_two_sinks_do_not_share_a_folder(flow: Flow, sinks: Callable[[Path], dict[str, str]]) -> None:
    shared = sinks(flow.root)
    first, second = shared
    said = refused(flow, shared)
    assert f"sinks.{second}: '" in said
    assert f"another folder than that of sinks.{first}" in said


@pytest.mark.parametrize("name", [" ", "out/scores ", " out", "\t", "out\n", "file:// out", "s3://b/out "])
def test_a_sink_has_no_blanks_at_an_end(flow: Flow, name: str) -> None:
    said = refused(flow, {"scores": name})
    assert "sinks.scores: " in said
    assert "is not allowed; expected: a name without leading or trailing spaces" in said


@pytest.mark.parametrize("out", [" ", "train ", "store/trips/versions", "stdout:", "kafka://b:1/rows"])
def test_a_training_set_is_held_to_the_same(flow: Flow, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flow.root)
    flow.feed(json_lines(trips(5)))
    outcome = flow.run(flow.spec() | {"sinks": {}}, "--out", out, verb=write_features)
    assert (outcome.code, said_nothing_of_python(outcome)) == (2, True)
    assert f"--out: '{out}' is not allowed; expected: " in outcome.err


LEGAL: dict[str, Callable[[Path], dict[str, str]]] = {
    "one in the other": lambda root: {"scores": f"{root}/out", "drift": f"{root}/out/drift"},
    "beside the audit's folders": lambda root: {"audit": f"{root}/a", "scores": f"{root}/a/scores"},
    "beside the models": lambda root: {"scores": f"{root}/store/out", "audit": f"{root}/store/audit"},
    "one output": lambda root: {"scores": "stdout:", "drift": "stdout:", "audit": "stdout:"},
    "blanks within": lambda root: {"scores": f"{root}/my out/of today"},
}


@pytest.mark.parametrize("sinks", LEGAL.values(), ids=LEGAL)
def test_what_does_not_mix_is_legal(flow: Flow, sinks: Callable[[Path], dict[str, str]]) -> None:
    flow.feed(json_lines(trips(5)))
    outcome = flow.run(flow.spec() | {"sinks": sinks(flow.root)})
    assert outcome.code == 0, outcome.err
