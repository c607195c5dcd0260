"""The contract, for kind sklearn: an estimator fitted on a DataFrame, one on a matrix, and an allowed pickle."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from models.scorers import load_scorer
from models.testing import Sample, contract_tests
from tests.models import bundle_folders as bundles
from tests.models.scorers.samples import delays, sample


def pickled(folder: Path) -> dict[str, Any]:
    import joblib  # type: ignore[import-untyped]  # ships no types
    import skops.io

    manifest = bundles.sklearn_matrix(folder)
    joblib.dump(skops.io.load(folder / "model.skops"), folder / "model.joblib")
    (folder / "model.skops").unlink()
    return manifest


def answering_nan(folder: Path) -> Sample:
    import skops.io
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.coef_ = np.array([np.nan])
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    return delays("regression", 1.0, 2.0)


test_frame = contract_tests(
    "sklearn", sample(bundles.sklearn_frame), label="sklearn-frame", make_nan=answering_nan
)
test_matrix = contract_tests("sklearn", sample(bundles.sklearn_matrix), label="sklearn-matrix")
test_pickle = contract_tests("sklearn", sample(pickled), label="sklearn-pickle", allow_pickle=True)


def test_a_row_has_the_same_score_in_every_batch(tmp_path: Path) -> None:
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random, names = np.random.default_rng(0), [f"x{number}" for number in range(9)]
    frame = pd.DataFrame(random.normal(scale=40, size=(333, len(names))), columns=names)
    inputs = [{"name": name, "type": "number"} for name in names]
    for kind in (LogisticRegression(), MLPClassifier((24,), max_iter=20, random_state=0)):
        folder = tmp_path / type(kind).__name__
        folder.mkdir()
        skops.io.dump(make_pipeline(StandardScaler(), kind).fit(frame, frame.x0 > 9), folder / "model.skops")
        manifest = bundles.write_bundle(folder, bundles.document("sklearn", inputs=inputs))
        scorer, rows = load_scorer("sklearn", folder, manifest), pa.RecordBatch.from_pandas(frame)
        whole = scorer.score(rows)
        for size in (1, 2, 7, 20, 100):
            parts = [scorer.score(rows.slice(start, size)) for start in range(0, rows.num_rows, size)]
            np.testing.assert_array_equal(np.concatenate(parts), whole)


# What skops imports to make lists of trusted types that are not asked, and what others find who import it later.
LOADED = """
import sys
from pathlib import Path
from models.scorers.sklearn.skops_files import load_skops
load_skops(Path(sys.argv[1]))
print(*(name for name in ("sklearn.gaussian_process", "sklearn.neural_network", "skops.io") if name in sys.modules))
from skops import io
print(io.get_untrusted_types(file=sys.argv[1]))
"""


def test_a_file_is_opened_without_importing_all_of_scikit_learn(tmp_path: Path) -> None:
    bundles.sklearn_matrix(tmp_path)
    command = [sys.executable, "-c", LOADED, str(tmp_path / "model.skops")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "[]"]


def test_our_skops_trusts_nothing_and_that_of_others_stays(tmp_path: Path) -> None:
    import skops.io

    from models.scorers.sklearn.skops_library import skops_io

    bundles.sklearn_matrix(tmp_path)
    file, usual = tmp_path / "model.skops", sys.modules["skops.io"]
    assert any("sklearn.linear_model" in name for name in skops_io().get_untrusted_types(file=file))
    assert sys.modules["skops.io"] is usual is skops.io
    assert skops.io.get_untrusted_types(file=file) == []
