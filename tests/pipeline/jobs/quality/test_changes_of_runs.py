"""A run with `labels.concept_drift` says when the errors of its versions changed; what it cannot obey it refuses."""

import json
import random
from typing import Any

import pytest

from pipeline.commands.advise.verb import advise_verb
from tests.pipeline.commands.commands import halflife
from tests.pipeline.jobs.flows import SECOND_US, Flow, Outcome, json_lines, read_avro, trip
from tests.pipeline.jobs.quality.test_quality_of_runs import HOUR_US, LABELS, put
from transforms.quality.changes import detectors

TRIPS = 2_000
CHANGES_AT = 1_200
SMALL = {"block": 10, "parts": 12}


def outcomes(seed: int) -> list[dict[str, Any]]:
    """What came of trips, all of which are decided as not late: 1 of 10 is, and later 6 of 10; in a random order."""
    chance = random.Random(1)
    late = [chance.random() < (0.1 if number < CHANGES_AT else 0.6) for number in range(TRIPS)]
    rows = [
        {"of": f"t{number}", "known": trip(number)["at"] + 60 * SECOND_US, "late_by": 30.0 * late[number]}
        for number in range(TRIPS)
    ]
    return random.Random(seed).sample(rows, TRIPS)


def spec_of(flow: Flow, labels: dict[str, Any], **changes: Any) -> dict[str, Any]:
    stated = {"uri": str(flow.root / "truth.json"), **LABELS, "horizon": "1h", "concept_drift": changes}
    spec = flow.spec() | {"labels": stated | labels, "drift": {"window": "2h"}}
    spec["sinks"]["quality"] = str(flow.root / "quality")
    return spec


def run(flow: Flow, labels: dict[str, Any], **changes: Any) -> Outcome:
    return flow.run(spec_of(flow, labels, **changes), "--sinks", "replace")


@pytest.fixture
def worn(flow: Flow) -> Flow:
    put(flow, "v2", 0.0)
    put(flow, "v3", 0.0001)
    flow.store.append_release(champion="v2", shadows=("v3",), effective_from_us=0, by="tests")
    flow.feed(json_lines([trip(number) for number in range(TRIPS)]))
    flow.feed(json_lines(outcomes(1)), "truth.json")
    return flow


def records(flow: Flow) -> list[dict[str, Any]]:
    found = [each for each in read_avro(flow.root / "quality") if each["metric"].startswith("change_")]
    for each in found:
        each.pop("run")
    return sorted(found, key=lambda each: (each["version"], each["metric"], each["window_start"]))


def test_changes_of_each_version_and_role_are_dated_counted_and_the_same_again(worn: Flow) -> None:
    outcome = run(worn, {}, **SMALL)
    assert outcome.code == 0, outcome.err
    found = records(worn)
    kinds = {(each["version"], each["role"], each["segment"], each["metric"]) for each in found}
    assert kinds == {(version, role, "", f"change_{name}") for version, role in (("v2", "champion"), ("v3", "shadow"))
                     for name in detectors.DETECTORS}  # fmt: skip
    changed = [each for each in found if each["value"] is not None]
    assert outcome.summary["quality"]["changes"] == {"adwin": 2, "page_hinkley": 2} == _counted(changed)
    began = trip(CHANGES_AT)["at"]
    for each in changed:
        assert abs(each["began"].timestamp() * SECOND_US - began) <= HOUR_US
        assert (each["before"], each["value"]) == (pytest.approx(0.1, abs=0.05), pytest.approx(0.6, abs=0.2))
        assert each["n_since"] >= 10
    assert "changes of errors seen by adwin" in outcome.out + outcome.err
    _is_told(worn, changed[1]["began"].strftime("%Y-%m-%dT%H:%M:%SZ"))
    worn.feed(json_lines(outcomes(2)), "truth.json")
    assert run(worn, {}, **SMALL).code == 0
    assert records(worn) == found


def _is_told(flow: Flow, began: str) -> None:
    """The audit shows the changes, and advice goes back to them."""
    job = flow.write_spec(spec_of(flow, {}, **SMALL))
    about = halflife("audit", "version", "v2", "--job", job, "--json").json["changes"]
    assert [(each["detector"], each["role"], each["to"]) for each in about] == [
        ("adwin", "champion", "worse"), ("page_hinkley", "champion", "worse")
    ]  # fmt: skip
    assert about[1]["began"] == began
    assert about[1]["n"] >= 10
    told = {time: halflife("audit", "at", time, "--job", job, "--json").json for time in ("2013-01-01", "2013-01-03")}
    assert [len(each["changes"]) for each in told.values()] == [0, 4]
    assert "Errors changed" in halflife("audit", "version", "v2", "--job", job).out
    advice = json.loads(flow.run(spec_of(flow, {}, **SMALL), "--json", verb=advise_verb).out)
    change = {"changes": 1, "to": "worse", "by": "page_hinkley"}
    assert advice["change"] == {"since": began[:11] + "20:00:00Z", **change}


def _counted(changed: list[dict[str, Any]]) -> dict[str, int]:
    names = [each["metric"].removeprefix("change_") for each in changed]
    return {name: names.count(name) for name in detectors.DETECTORS}


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([], "no labelled event"),
        ([{"of": "t7", "known": trip(7)["at"] + 60 * SECOND_US, "late_by": 30.0}], "too few labelled events: 1 blocks"),
        ([{"of": "t7", "known": trip(7)["at"] + 400 * 24 * HOUR_US, "late_by": 30.0}], "no labelled event"),
    ],
    ids=["none", "one", "a year late"],
)
def test_a_version_of_which_nothing_is_known_says_so_in_each_window(worn: Flow, labels: list[Any], why: str) -> None:
    other = {"of": "t-none", "known": trip(0)["at"], "late_by": 1.0}
    worn.feed(json_lines([*labels, other]), "truth.json")
    outcome = run(worn, {}, block=1)
    assert (outcome.code, outcome.summary["scored"], outcome.summary["quality"]["changes"]) == (0, TRIPS, {})
    assert {(each["value"], each["began"]) for each in records(worn)} == {(None, None)}
    assert any(each["why"].startswith(why) for each in records(worn))


def test_a_run_without_the_library_of_detectors_names_the_extra(worn: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "find_spec", lambda name: None)
    outcome = run(worn, {})
    assert outcome.code == 2
    assert "labels.concept_drift: river is not installed" in outcome.err
    assert "next: pip install 'halflife-beam[river]'" in outcome.err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"detectors": ["adwin", "kswin"]},
            "labels.concept_drift.detectors[1]: 'kswin' is not allowed; allowed: adwin, page_hinkley",
        ),
        ({"detectors": []}, "labels.concept_drift.detectors"),
        ({"parts": 5}, "labels.concept_drift.parts: 5 is not allowed"),
        ({"adwin_delta": 1.5}, "labels.concept_drift.adwin_delta: 1.5 is not allowed"),
        ({"block": 0}, "labels.concept_drift.block: 0 is not allowed"),
        ({"delta": 0.1}, "labels.concept_drift.delta: unknown key"),
    ],
)
def test_what_is_no_detector_or_setting_is_refused(flow: Flow, changes: dict[str, Any], said: str) -> None:
    outcome = run(flow, {}, **changes)
    assert outcome.code == 2
    assert said in outcome.err, outcome.err
