"""A null text is represented as when the estimator was fitted: None or NaN, which are two categories to
scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.bundles.manifest import Manifest
from models.scorers import Scorer, WillNotLoad, load_scorer
from tests.models import bundle_folders as bundles

TOWNS = ["Åre", "Lund", None, "Lund", "Åre", None, "Ystad", "Ystad"]
FARES = [1.0, 2.0, 9.0, 2.5, 1.5, 8.5, 4.0, 4.5]
SCHEMA = pa.schema([("town", pa.string())])
INPUTS = [{"name": "town", "type": "string", "nullable": True}]


def one_hot() -> Any:
    from sklearn.preprocessing import OneHotEncoder

    return OneHotEncoder(handle_unknown="ignore")


def ordinal() -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-9, encoded_missing_value=-2)


def imputed() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(strategy="constant", fill_value="?", missing_values=None), one_hot())


def dumped(folder: Path, steps: Any, frame: pd.DataFrame, inputs: list[dict[str, Any]]) -> tuple[Any, Manifest]:
    import skops.io
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(steps, Ridge()).fit(frame, FARES)
    skops.io.dump(model, folder / "model.skops")
    document = bundles.document("sklearn", inputs=inputs, output={"kind": "regression"})
    return model, bundles.write_bundle(folder, document)


def scorer_of(folder: Path, manifest: Manifest) -> Scorer:
    return load_scorer("sklearn", folder, manifest)


NAN = float("nan")


@pytest.mark.parametrize(
    ("steps", "null"), [(one_hot, None), (one_hot, NAN), (ordinal, None), (ordinal, NAN), (imputed, None)]
)
def test_a_null_text_has_the_answer_that_it_was_fitted_with(tmp_path: Path, steps: Any, null: Any) -> None:
    frame = pd.DataFrame({"town": pd.Series([null if town is None else town for town in TOWNS], dtype=object)})
    model, manifest = dumped(tmp_path, steps(), frame, INPUTS)
    batch = pa.RecordBatch.from_pylist([{"town": town} for town in TOWNS], SCHEMA)
    alone = [model.predict(frame.iloc[[row]])[0] for row in range(len(TOWNS))]
    scorer = scorer_of(tmp_path, manifest)
    np.testing.assert_allclose(scorer.score(batch), alone)
    np.testing.assert_allclose([scorer.score(batch.slice(row, 1))[0] for row in range(len(TOWNS))], alone)


def test_an_estimator_that_took_both_for_a_null_text_is_refused(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer

    nan = pd.Series([float("nan") if town is None else town for town in TOWNS], dtype=object)
    frame = pd.DataFrame({"town": pd.Series(TOWNS, dtype=object), "home": nan})
    inputs = [{"name": name, "type": "string", "nullable": True} for name in ("town", "home")]
    _, manifest = dumped(tmp_path, make_column_transformer((one_hot(), ["town", "home"])), frame, inputs)
    with pytest.raises(WillNotLoad, match="None to one part of the estimator and NaN to another"):
        scorer_of(tmp_path, manifest)


def test_a_row_of_nulls_alone_has_its_answer_beside_others_too(tmp_path: Path) -> None:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, NAN, 6.0, 7.0, NAN], "b": [9.0, 7.0, NAN, 1.0, 5.0, NAN, 2.0, NAN]})
    inputs = [{"name": name, "type": "number", "nullable": True} for name in ("a", "b")]
    _, manifest = dumped(tmp_path, IterativeImputer(max_iter=3), frame, inputs)
    scorer, rows = scorer_of(tmp_path, manifest), pa.RecordBatch.from_pandas(frame)
    np.testing.assert_allclose([scorer.score(rows.slice(row, 1))[0] for row in range(8)], scorer.score(rows))
