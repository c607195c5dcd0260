"""Models of trees with categories, published by the command line: served as they were trained, or refused in words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from models.admission.proving import read_golden
from tests.pipeline.commands.commands import Models

FLOORS, CARRIERS = [10, 20, 30, 40, 50], ["AA", "DL", "UA"]


def trained(folder: Path, kind: str, categorical: tuple[str, ...]) -> tuple[Path, pd.DataFrame, npt.NDArray[Any]]:
    """A model of this library on disk, the rows it was trained on as events have them, and its own answers to them."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame(
        {"floor": random.choice(FLOORS, 300), "carrier": random.choice(CARRIERS, 300), "x": random.normal(size=300)}
    )[[*categorical, "x"]]
    target = (
        rows[categorical[0]].map({value: index * 7 % 5 for index, value in enumerate([*FLOORS, *CARRIERS])}) + rows.x
    )
    frame = rows.astype(dict.fromkeys(categorical, "category"))
    if kind == "xgboost":
        import xgboost

        booster: Any = xgboost.XGBRegressor(n_estimators=20, enable_categorical=True).fit(frame, target)
        booster.save_model(folder / "m.ubj")
        return folder / "m.ubj", rows, booster.predict(frame)
    import lightgbm

    booster = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1).fit(frame, target)
    booster.booster_.save_model(folder / "m.txt")
    return folder / "m.txt", rows, booster.predict(frame)


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("categorical", [("floor",), ("floor", "carrier"), ("carrier",)])
@pytest.mark.parametrize("floor", ["int64", "float64"])
def test_golden_records_are_the_models_own_answers(
    models: Models, tmp_path: Path, kind: str, categorical: tuple[str, ...], floor: str
) -> None:
    path, rows, answers = trained(tmp_path, kind, categorical)
    if "floor" in rows:
        rows["floor"] = rows.floor.to_numpy(floor)
    rows.head(20).to_parquet(tmp_path / "sample.parquet")
    models.json("publish", path, "--version", "n1", "--sample", tmp_path / "sample.parquet")
    bundle = Path(models.url) / "late" / "versions" / "n1"
    golden = read_golden(bundle, models.store.read_manifest("n1"))
    np.testing.assert_allclose(golden.scores, answers[:20], atol=1e-6)


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("integers", [True, False])
def test_input_that_can_match_no_category_is_refused(models: Models, tmp_path: Path, kind: str, integers: bool) -> None:
    categorical = "floor" if integers else "carrier"
    path, rows, _ = trained(tmp_path, kind, (categorical,))
    words = () if integers else ("--input", "carrier:integer")
    rows[categorical] = rows[categorical].astype(str) if integers else np.arange(300)
    rows.to_parquet(tmp_path / "sample.parquet")
    ran = models("publish", path, "--version", "n1", "--sample", tmp_path / "sample.parquet", *words)
    assert (ran.code, "so none can match; " in ran.err) == (1, True), ran


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
def test_sample_without_one_known_category_is_refused(models: Models, tmp_path: Path, kind: str) -> None:
    path, rows, _ = trained(tmp_path, kind, ("carrier",))
    rows["carrier"] = rows.carrier + " "
    rows.to_parquet(tmp_path / "sample.parquet")
    ran = models("publish", path, "--version", "n1", "--sample", tmp_path / "sample.parquet")
    assert (ran.code, "is not a category of the model; allowed: 'AA', 'DL', 'UA'" in ran.err) == (1, True), ran


WRITTEN = {
    "codes": ["01", "1", "001"],
    "days": ["2024-01-01", "2024-01-02", "2024-03-01"],
    "yes and no": ["true", "false", "maybe"],
}


@pytest.mark.parametrize("option", ["--sample", "--golden"])
@pytest.mark.parametrize("kind", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("carriers", WRITTEN)
def test_texts_of_a_csv_are_read_as_they_are_written(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, carriers: str, kind: str, option: str
) -> None:
    monkeypatch.setitem(globals(), "CARRIERS", WRITTEN[carriers])
    path, rows, answers = trained(tmp_path, kind, ("carrier",))
    known = rows.assign(score=answers) if option == "--golden" else rows
    # In these rows the column looks like one of another type.
    known[rows.carrier != "maybe"].head(20).to_csv(tmp_path / "rows.csv", index=False)
    models.json("publish", path, "--version", "n1", option, tmp_path / "rows.csv")
    golden = read_golden(Path(models.url) / "late" / "versions" / "n1", models.store.read_manifest("n1"))
    np.testing.assert_allclose(golden.scores, answers[rows.carrier != "maybe"][:20], atol=1e-6)


def test_golden_lines_may_begin_with_a_byte_order_mark(models: Models, tmp_path: Path) -> None:
    path, rows, answers = trained(tmp_path, "lightgbm", ("carrier",))
    line = json.dumps({"inputs": rows.iloc[0].to_dict(), "score": answers[0]})
    (tmp_path / "golden.jsonl").write_text(line, encoding="utf-8-sig")
    assert models.json("publish", path, "--version", "n1", "--golden", tmp_path / "golden.jsonl")["golden_records"] == 1
