"""`halflife models release`: scores do not change their meaning unless a person accepts it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from tests.models.bundle_folders import document
from tests.pipeline.commands.commands import Models

IDENTITY = {"intercept": 0.0, "coefficients": {"delay": 1.0}, "link": "identity"}
DELAY = [{"name": "delay", "type": "number"}]
PAST = ("--from", "2013-03-01T00:00:00Z")


def put(models: Models, folder: Path, version: str, kind: str, positive: str | None = None, **changes: Any) -> None:
    """Publish a version with that output."""
    output = {"kind": kind} | ({} if positive is None else {"positive": positive})
    (folder / version).mkdir()
    whole = document(version=version, output=output, **{"inputs": DELAY, "linear": IDENTITY, **changes})
    models.store.publish(folder / version, whole)


def put_labelled(models: Models, folder: Path, version: str, labels: list[Any], positive: str | None) -> None:
    """Publish a classifier of these labels as a ready bundle, whose null positive class is the second."""
    rows = pd.DataFrame({"delay": np.arange(8.0)})
    (folder / version).mkdir()
    model = LogisticRegression().fit(rows, np.array(labels)[(rows.delay > 3).astype(int)])
    skops.io.dump(model, folder / version / "m.skops")
    output = {"kind": "probability"} | ({} if positive is None else {"positive": positive})
    models.store.publish(folder / version, document("sklearn", version=version, inputs=DELAY, output=output))


def begin(models: Models, champion: str, *words: str) -> None:
    """Release from a time in the past, with a note."""
    ran = models("release", "--champion", champion, *words, *PAST)
    assert ran.code == 0, ran


DIFFERENT = [
    (("regression", None), ("class", None), "class (positive: the second class) of version 'b'", "regression of"),
    (("regression", None), ("probability", "late"), "probability (positive: 'late') of version 'b'", "regression of"),
    (("probability", "late"), ("probability", "early"), "(positive: 'early') of version 'b'", "(positive: 'late')"),
    (("probability", None), ("probability", "0"), "(positive: '0') of version 'b'", "(positive: the second class)"),
    (("class", "b"), ("class", None), "class (positive: the second class) of version 'b'", "class (positive: 'b')"),
]


@pytest.mark.parametrize(("first", "second", "other", "one"), DIFFERENT)
@pytest.mark.parametrize("where", ["--challenger", "--shadow", "in force"])
def test_other_output_is_refused_naming_both(
    models: Models, tmp_path: Path, first: Any, second: Any, other: str, one: str, where: str
) -> None:
    put(models, tmp_path, "a", *first)
    put(models, tmp_path, "b", *second)
    words = ["--champion", "a", where, "b=0.1" if where == "--challenger" else "b"]
    named = "version 'a', the champion"
    if where == "in force":
        begin(models, "a", "--no_check")
        words, named = ["--champion", "b"], "version 'b', the champion"
        other, one = one, "version 'a', champion of release 1, in force until then"
    before = len(models.store.releases())
    ran = models("release", *words, "--no_check", "--json")
    assert (ran.code, ran.json["released"], ran.json["reason"]) == (1, False, "output_change")
    assert [text for text in (other, one, named, "--accept_output_change") if text not in ran.json["detail"]] == []
    assert models("release", *words, "--no_check").err.count("\n") == 1
    assert len(models.store.releases()) == before


@pytest.mark.parametrize("words", [("--no_check",), ()])
def test_change_that_is_accepted_is_released_and_recorded(
    models: Models, tmp_path: Path, words: tuple[str, ...]
) -> None:
    put(models, tmp_path, "a", "regression")
    put(models, tmp_path, "b", "class", linear={**IDENTITY, "coefficients": {"delay": 0.0}})
    begin(models, "a")
    accept = ("--accept-output-change", "--evidence", "ticket 7", *words)
    written = models.json("release", "--champion", "b", *accept)
    assert written["evidence"] == "; ".join(("ticket 7", *(word[2:] for word in words), "accept_output_change"))
    assert models("release", "--champion", "b", "--shadow", "a").code == 1
    assert models("release", "--champion", "b").code == 0


def test_rollback_is_not_refused(models: Models, tmp_path: Path) -> None:
    put(models, tmp_path, "a", "regression")
    put(models, tmp_path, "b", "class")
    begin(models, "a")
    begin(models, "b", "--accept_output_change")
    assert models.json("rollback")["champion"] == "a"


@pytest.mark.parametrize("positive", ["1", "1.0", "True", "true"])
@pytest.mark.parametrize("kind", ["probability", "class"])
def test_null_is_the_second_class(models: Models, tmp_path: Path, positive: str, kind: str) -> None:
    put(models, tmp_path, "a", kind, linear={**IDENTITY, "link": "logistic"})
    put(models, tmp_path, "b", kind, positive, linear={**IDENTITY, "link": "logistic"})
    begin(models, "a", "--shadow", "b")
    models.json("release", "--champion", "b")
    models.json("release", "--champion", "a")


@pytest.mark.parametrize(("positive", "code"), [("spam", 0), ("ham", 1)])
@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")], ids=["null first", "null second"])
def test_null_is_the_second_of_the_labels_that_a_model_has(
    models: Models, tmp_path: Path, positive: str, code: int, order: tuple[str, str]
) -> None:
    put_labelled(models, tmp_path, "a", ["ham", "spam"], None)
    put_labelled(models, tmp_path, "b", ["ham", "spam"], positive)
    assert models("release", "--champion", order[0], "--shadow", order[1]).code == code
    begin(models, order[0])
    assert models("release", "--champion", order[1]).code == code


def test_release_in_force_until_then_counts_not_the_present_one(models: Models, tmp_path: Path) -> None:
    put(models, tmp_path, "a", "regression")
    put(models, tmp_path, "b", "class")
    begin(models, "a")
    models.json("release", "--champion", "b", "--from", "2099-01-01T00:00:00Z", "--accept_output_change")
    assert models("release", "--champion", "a", "--from", "2099-02-01T00:00:00Z").code == 1
    assert models("release", "--champion", "b", "--from", "2099-02-01T00:00:00Z").code == 0
