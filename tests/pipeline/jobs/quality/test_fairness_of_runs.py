"""A run compares groups of people by columns that the model does not read; nothing else that it writes has these."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from fairlearn import metrics as fairlearn  # type: ignore[import-untyped]  # ships no types

from tests.pipeline.jobs.flows import MANIFEST, START_US, Flow, json_lines, read_avro, trip
from tests.pipeline.jobs.spelled import found_in, written

MINUTE_US = 60_000_000
OUTPUT = {"kind": "probability", "threshold": 0.9, "positive": "late"}
SEXES = ["FEMALE-7K2W", "MALE-7K2W", None, "FEMALE-7K2W"]
LABELS = {"format": "json", "event_id": "of", "event_time": "known", "column": "late", "positive": "== 1"}


def person(number: int) -> dict[str, Any]:
    """A trip whose delay depends on the sex of the driver, who is 20 to 69 years old; from the third hour on no record
    has a sex."""
    sex = SEXES[number * 7 % 4]
    delay = float(number * 37 % 60) + (8.0 if sex == SEXES[0] else 0.0)
    own = {"delay": delay, "age": 20 + number * 13 % 50, "driver": f"driver-{number}"}
    return trip(number, **own, **({"sex": sex} if number < 120 else {}))


def is_late(number: int) -> bool:
    return bool(person(number)["delay"] + number * 11 % 40 > 50)


@pytest.fixture
def watched(flow: Flow) -> Flow:
    """240 trips over four hours, a champion with a shadow, and labels of all."""
    (flow.root / "payload").mkdir(exist_ok=True)
    for version, slope in (("v2", 0.1), ("v3", 0.2)):
        linear = {**MANIFEST["linear"], "coefficients": {"delay": slope}}
        flow.store.publish(flow.root / "payload", {**MANIFEST, "output": OUTPUT, "version": version, "linear": linear})
    flow.store.append_release(champion="v2", shadows=("v3",), effective_from_us=0, by="tests")
    flow.feed(json_lines(person(number) for number in range(240)))
    known = START_US + 300 * MINUTE_US
    flow.feed(
        json_lines({"of": f"t{number}", "known": known, "late": int(is_late(number))} for number in range(240)),
        "truth.json",
    )
    return flow


def spec_of(flow: Flow, **stated: Any) -> dict[str, Any]:
    spec = flow.spec(subject="driver")
    spec["sinks"]["quality"] = str(flow.root / "quality")
    spec["labels"] = {"uri": str(flow.root / "truth.json"), **LABELS, "horizon": "1d"}
    return {**spec, "drift": {"window": "1h"}, **stated}


def records_of(flow: Flow) -> dict[tuple[Any, ...], dict[str, Any]]:
    names = ("window_start", "version", "segment", "metric")
    rows = [row for row in read_avro(flow.root / "quality") if row["against"] is None]
    found = {tuple(hour(row[name]) for name in names): row for row in rows}
    assert len(found) == len(rows)
    return found


def hour(value: Any) -> Any:
    return value.hour if isinstance(value, datetime) else value


FAIRNESS = {"columns": ["sex", "age", ["sex", "age"]], "groups": {"age": [30, 50]}, "min_n": 5}


def test_groups_are_compared_by_columns_that_are_no_features(watched: Flow) -> None:
    outcome = watched.run(spec_of(watched, fairness=FAIRNESS))
    assert outcome.code == 0, outcome.err
    records = records_of(watched)
    scores = {(row["version"], row["event_id"]): row["score"] for row in read_avro(watched.root / "audit" / "receipts")}
    for version in ("v2", "v3"):
        numbers = [number for number in range(60) if person(number)["sex"] is not None]
        decided = np.array([scores[version, f"t{number}"] >= 0.9 for number in numbers])
        truth = np.array([is_late(number) for number in numbers])
        of_sex = [person(number)["sex"] for number in numbers]
        for name in ("demographic_parity_difference", "equalized_odds_difference", "equalized_odds_ratio"):
            row, wanted = records[0, version, "sex", name], getattr(fairlearn, name)
            assert row["value"] == pytest.approx(wanted(truth, decided, sensitive_features=of_sex))
            assert row["low"] <= row["value"] <= row["high"]
            assert (row["role"], row["events"]) == ("champion" if version == "v2" else "shadow", 60)
    segments = {segment for _, _, segment, _ in records}
    assert segments >= {"", "sex", "age", "sex & age", "sex is null", "age < 30", "30 <= age < 50", "age >= 50"}
    assert f"sex={SEXES[0]} & age >= 50" in segments
    vanished = records[2, "v2", "sex", "demographic_parity_difference"]
    assert (vanished["value"], vanished["why"]) == (None, "no event has a value in this column")
    assert {"sex", "age"}.isdisjoint(read_avro(watched.root / "audit" / "receipts")[0]["features"])


def test_values_of_hidden_columns_are_nowhere_and_small_groups_have_no_record(watched: Flow) -> None:
    """Their groups are of edges of the spec; the same search finds the values in a run without privacy."""
    incomes = [880_012_345 + number for number in range(240)]
    watched.feed(json_lines({**person(number), "income": incomes[number]} for number in range(240)))
    sinks = [watched.root / name for name in ("scores", "audit", "drift", "dead_letters", "quality")]
    plain = {"columns": ["income"], "max_groups": 1000}
    assert watched.run(spec_of(watched, fairness=plain)).code == 0
    assert any(found_in(written(sink), incomes) for sink in sinks)
    hidden = {"columns": ["income"], "groups": {"income": [880_012_351, 880_012_375]}, "min_n": 14}
    private = {"keys": str(watched.root / "keys"), "hide": ["income"]}
    outcome = watched.run(spec_of(watched, fairness=hidden, privacy=private), "--sinks", "replace")
    assert outcome.code == 0, outcome.err
    told = [incomes[number] for number in range(240) if incomes[number] not in hidden["groups"]["income"]]  # type: ignore[index]  # of a literal
    assert not any(found_in(written(sink), told) for sink in sinks)
    segments = {segment for start, _, segment, _ in records_of(watched) if start == 0}
    assert segments == {"", "income", "income >= 880012375"}  # 6 events, 24 that would tell them, and 30


@pytest.mark.parametrize("lacks", ["labels of these events", "a file of labels", "labels in the spec"])
def test_selection_is_compared_before_any_label_is_there(watched: Flow, lacks: str) -> None:
    (watched.root / "truth.json").write_bytes(json_lines([{"of": "nobody", "known": START_US, "late": 1}]))
    spec = spec_of(watched, fairness={"columns": ["sex"], "min_n": 5})
    if lacks == "a file of labels":
        (watched.root / "truth.json").unlink()
    if lacks == "labels in the spec":
        del spec["labels"]
    outcome = watched.run(spec)
    assert outcome.code == 0, outcome.err
    records = records_of(watched)
    parity, odds = (records[0, "v2", "sex", f"{name}_difference"] for name in ("demographic_parity", "equalized_odds"))
    assert (parity["value"] is None, parity["label_coverage"]) == (False, None)
    assert (odds["value"], odds["why"], odds["label_coverage"]) == (None, "no positive event among the labels", 0.0)
