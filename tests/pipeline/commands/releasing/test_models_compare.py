"""`halflife models compare A B`: manifests, inputs, training, quality and recorded answers of two versions."""

from pathlib import Path
from typing import Any

import pytest

from tests.models.bundle_folders import document, with_golden
from tests.pipeline.commands.commands import Models

TRAINING = {"trained_at": "2013-01-01T00:00:00Z", "hyperparameters": {"depth": 3, "rate": 0.1},
            "data": [{"uri": "a.parquet", "sha256": "a" * 64}, {"uri": "b.parquet", "sha256": "b" * 64}]}  # fmt: skip
LATER = {"trained_at": "2013-02-01T00:00:00Z", "hyperparameters": {"depth": 4, "rate": 0.1},
         "data": [{"uri": "b2.parquet", "sha256": "b" * 64}, {"uri": "c.parquet", "sha256": "c" * 64}]}  # fmt: skip


@pytest.fixture
def two(models: Models, tmp_path: Path) -> Models:
    """`old` and `new`, of other training; one input has another default and one is new."""
    for version, training, quality in (("old", TRAINING, {"auc": 0.7, "by_segment": {"carrier": {"AA": {"auc": 0.6}}}}),
                                       ("new", LATER, {"auc": 0.75, "log_loss": 0.4})):  # fmt: skip
        folder = tmp_path / version
        folder.mkdir()
        made = document(version=version, training=training, quality=quality)
        if version == "new":
            made["inputs"] = [{**made["inputs"][0], "default": 9}, *made["inputs"][1:]]
            made["output"] = {**made["output"], "threshold": 0.7}
        models.store.publish(folder, with_golden(folder, made))
    return models


def compared(models: Models, *versions: str) -> Any:
    return models.json("compare", *versions)


def test_compare_names_what_differs(two: Models) -> None:
    said = compared(two, "old", "new")
    assert (said["a"], said["b"], said["identical"]) == ("old", "new", False)
    assert said["manifest"]["output"]["b"]["threshold"] == 0.7
    assert said["training"]["hyperparameters.depth"] == {"a": 3, "b": 4}
    assert "hyperparameters.rate" not in said["training"]
    [changed] = said["inputs"]["changed"].values()
    assert changed["b"]["default"] == 9
    assert (said["inputs"]["only_a"], said["inputs"]["only_b"]) == ([], [])


def test_compare_knows_data_by_its_content(two: Models) -> None:
    data = compared(two, "old", "new")["data"]
    assert ([each["uri"] for each in data["only_a"]], [each["uri"] for each in data["only_b"]], data["both"]) == (
        ["a.parquet"], ["c.parquet"], 1)  # fmt: skip


def test_compare_gives_quality_by_metric(two: Models) -> None:
    quality = compared(two, "old", "new")["quality"]
    assert quality["auc"] == {"a": 0.7, "b": 0.75, "difference": pytest.approx(0.05)}
    assert quality["log_loss"] == {"a": None, "b": 0.4, "difference": None}
    assert quality["by_segment.carrier.AA.auc"] == {"a": 0.6, "b": None, "difference": None}


def test_compare_tells_recorded_answers_apart(two: Models) -> None:
    golden = compared(two, "old", "new")["golden"]
    assert golden["shared"] == golden["a"] == golden["b"] > 0
    assert golden["max_difference"] is not None
    assert compared(two, "v1", "v2")["golden"]["shared"] == 0


def test_versions_that_differ_in_their_names_alone_are_identical(models: Models) -> None:
    said = compared(models, "v1", "v2")
    assert (said["identical"], said["manifest"], said["training"], said["quality"]) == (True, {}, {}, {})


def test_compare_prints_tables(two: Models) -> None:
    ran = two("compare", "old", "new")
    assert (ran.code, ran.err) == (0, "")
    words = ("hyperparameters.depth", "log_loss", "c.parquet", "golden records")
    assert [word for word in words if word not in ran.out] == []


UNKNOWN = [
    (("v1", "nwe"), "did you mean new?"),
    (("V1", "v2"), "did you mean v"),
    (("v1", "zzz"), "B: 'zzz' is not allowed; expected: a version"),
]


@pytest.mark.parametrize(("versions", "hint"), UNKNOWN)
def test_unknown_version_is_bad_usage_with_the_nearest_name(two: Models, versions: tuple[str, str], hint: str) -> None:
    ran = two("compare", *versions)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert hint in ran.err
