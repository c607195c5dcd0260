"""Which of its answers a scikit-learn model gives is chosen where it is published; what cannot be done is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tests.pipeline.commands.commands import Models, Ran

RANDOM = np.random.default_rng(0)
ROWS = pd.DataFrame(RANDOM.normal(size=(60, 2)), columns=["a", "b"])
TWO = np.column_stack([ROWS.a * 2, ROWS.b - 1])
CLASSES = np.where(ROWS.a > 0, "yes", "no")


def publish(models: Models, folder: Path, model: Any, *words: str) -> Ran:
    """Publish with the rows as the sample, whose golden records hold the model's own scores."""
    skops.io.dump(model, folder / "m.skops")
    ROWS.to_csv(folder / "rows.csv", index=False)
    return models("publish", folder / "m.skops", "--version", "n1", "--sample", folder / "rows.csv", "--json", *words)


def scores(models: Models) -> list[tuple[dict[str, float], float]]:
    """The golden records of the published version."""
    manifest = models.store.read_manifest("n1")
    lines = models.store.read_file(manifest, "golden.jsonl", 2**20).splitlines()
    return [(record["inputs"], record["score"]) for record in map(json.loads, lines)]


FOREST = IsolationForest(n_estimators=10, random_state=0).fit(ROWS)
LINES = LinearRegression().fit(ROWS, TWO)
OUTLIERS = LocalOutlierFactor(novelty=True).fit(ROWS)
BOTH = RandomForestClassifier(5, random_state=0).fit(ROWS, np.column_stack([CLASSES, ROWS.b > 0]).astype(str))


@pytest.mark.parametrize(
    ("model", "words", "truth"),
    [
        (FOREST, ["method=score_samples"], FOREST.score_samples),
        (OUTLIERS, ["method=decision_function"], OUTLIERS.decision_function),
        (LINES, ["column=1"], lambda rows: LINES.predict(rows)[:, 1]),
        (LINES, ["column=0"], lambda rows: LINES.predict(rows)[:, 0]),
    ],
    ids=["anomaly score", "distance", "second column", "first column"],
)
def test_chosen_answer_is_scored(models: Models, tmp_path: Path, model: Any, words: list[str], truth: Any) -> None:
    ran = publish(models, tmp_path, model, *(word for each in words for word in ("--setting", each)))
    assert ran.code == 0, ran
    for inputs, score in scores(models):
        assert score == pytest.approx(truth(pd.DataFrame([inputs]))[0])


def test_of_a_classifier_of_several_outputs_one_is_chosen(models: Models, tmp_path: Path) -> None:
    words = ("--output", "probability", "--positive", "True", "--setting", "column=1")
    assert publish(models, tmp_path, BOTH, *words).code == 0
    for inputs, score in scores(models):
        assert score == pytest.approx(BOTH.predict_proba(pd.DataFrame([inputs]))[1][0, 1])


@pytest.mark.parametrize(
    ("model", "words", "says"),
    [
        (LINES, [], "no column chosen of the 2 that it answers with; expected: one, by --setting column=0 to 1"),
        (LINES, ["--setting", "column=2"], "column 2 of the 2 that it answers with"),
        (LINES, ["--setting", "column=-1"], "column -1; expected: an index"),
        (LINES, ["--setting", "method=score_samples"], "LinearRegression has no score_samples"),
        (FOREST, ["--output", "class", "--setting", "method=score_samples"], "expected: predict for output class"),
        (FOREST, ["--output", "probability"], "regression by --setting method=score_samples"),
        (FOREST, ["--output", "regression", "--setting", "column=0"], "column 0; expected: none"),
        (BOTH, ["--output", "class"], "answers for 2 outputs"),
        (LinearSVC().fit(ROWS, CLASSES), ["--output", "probability"], "class by --setting method=predict"),
        (StandardScaler().fit(ROWS), ["--output", "regression"], "expected: an estimator that answers"),
    ],
)
def test_unsupported_parameters_are_refused_with_a_message(
    models: Models, tmp_path: Path, model: Any, words: list[str], says: str
) -> None:
    ran = publish(models, tmp_path, model, *words)
    assert (ran.code, ran.json["reason"]) == (1, "will_not_load"), ran
    assert says in ran.json["detail"]
