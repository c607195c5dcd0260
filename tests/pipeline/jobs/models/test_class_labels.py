"""Scores of output `class` say the label of the class as their decision."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.tree import DecisionTreeClassifier

from pipeline.verbs import main
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro, trips

DELAYS = np.arange(0, 3, 0.5)  # as those of the first six trips


def publish(flow: Flow, wanted: list[Any], *words: str) -> None:
    """A tree that answers each of the six trips with the label that is wanted."""
    path = flow.root / "m.skops"
    skops.io.dump(DecisionTreeClassifier().fit(pd.DataFrame({"delay": DELAYS}), np.array(wanted)), path)
    where = ["--store", str(flow.root / "store"), "--model", "trips"]
    assert main(["models", "publish", str(path), "--version", "v2", "--input", "delay:number", *words, *where]) == 0
    release = ["models", "release", "--champion", "v2", "--from", "2013-01-01T00:00:00Z", "--accept_output_change"]
    assert main([*release, *where]) == 0


def decided(folder: Path) -> Mapping[str, tuple[float, str | None]]:
    return {each["event_id"]: (each["score"], each["decision"]) for each in read_avro(folder)}


@pytest.mark.parametrize(
    ("labels", "scores"),
    [(["ham", "spam"], [0, 1]), (["a", "b", "c"], [0, 1, 2]), ([10, 20, 30], [10, 20, 30]), ([False, True], [0, 1])],
    ids=["two texts", "three texts", "numbers", "booleans"],
)
def test_decision_of_a_class_is_its_label(flow: Flow, labels: list[Any], scores: list[float]) -> None:
    classes = [number % len(labels) for number in range(6)]
    said = () if labels == [False, True] else ("--positive", str(labels[-1]))
    publish(flow, [labels[index] for index in classes], "--output", "class", *said)
    flow.feed(json_lines(trips(6)))
    assert flow.run(flow.spec()).code == 0
    truth = {f"t{number}": (scores[index], str(labels[index])) for number, index in enumerate(classes)}
    assert decided(flow.root / "scores") == truth
    assert decided(flow.root / "audit" / "receipts") == truth


def test_threshold_decides_where_there_is_one(flow: Flow) -> None:
    words = ("--output", "class", "--positive", "spam", "--threshold", "0.5")
    publish(flow, ["ham", "spam"] * 3, *words)
    flow.feed(json_lines(trips(2)))
    assert flow.run(flow.spec()).code == 0
    assert [decision for _, decision in decided(flow.root / "scores").values()] == ["not spam", "spam"]
