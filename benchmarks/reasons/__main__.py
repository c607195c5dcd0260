"""`python -m benchmarks.reasons`: what reasons cost, by kind of model beside `shap`, and in the flights job."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from glob import glob
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.peers import bare_loop
from benchmarks.table import machine, markdown
from benchmarks.workload import FEATURES, ROOT, VALUE
from models.explaining.explainer import Explainer
from models.publishing.bundle import Rows, Statement, build_bundle
from models.publishing.recognise import recognise
from models.scorers import load_scorer
from models.serving.cache import LoadedModel
from models.store.store import ModelStore

MODEL, VERSION, THRESHOLD_SHARE = "flight-delay", "1", 0.95
ROWS, SAMPLED_ROWS = 2_000, 40
ABOUT = """\
CPU time of the process, not wall time. `shap` is asked as its documentation says: `TreeExplainer(model)` (for LightGBM
it calls the library's own `pred_contrib`), `LinearExplainer` with 100 rows, `PermutationExplainer` with the same
20 background rows as ours. One call with all rows, after one call with a few, which imports and prepares; what is
prepared once for each version is a column of its own. The difference is the greatest of any contribution, of trees
only: linear models are compared with other averages. Aim for trees in batches of 1,000 and more: ten times `shap`,
equal to 1e-5. It is met by tables, which LightGBM's and XGBoost's models get. Models of scikit-learn have none and miss
it: the tables of a forest of deep trees would need hundreds of megabytes.
"""


class Family(NamedTuple):
    """A trained model: the file to publish, what `shap` explains, whether its values can be compared."""

    name: str
    file: str
    save: Callable[[Path], Any]
    explained: Callable[[Any, np.ndarray], np.ndarray]
    rows: int = ROWS
    compared: bool = False


class Cost(NamedTuple):
    """Rows explained in a second of CPU time by us and by shap, seconds of preparing, and the greatest difference."""

    name: str
    rows: int
    ours: float
    shap: float
    prepared_s: float
    difference: float | None


def families(rows: np.ndarray, late: np.ndarray) -> list[Family]:
    """Every kind that is measured, trained on the same rows."""
    import lightgbm
    import shap  # type: ignore[import-untyped]  # ships no types
    import skops.io
    import xgboost
    from sklearn import ensemble, linear_model, neighbors

    def lightgbm_file(path: Path) -> Any:
        settings = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "num_threads": 1}
        model = lightgbm.train(settings, lightgbm.Dataset(rows, late), 100)
        model.save_model(path)
        return model

    def xgboost_file(path: Path) -> Any:
        settings = {"objective": "binary:logistic", "max_depth": 6, "nthread": 1}
        model = xgboost.train(settings, xgboost.DMatrix(rows, late), 100)
        model.save_model(path)
        return model

    def fitted(estimator: Any) -> Callable[[Path], Any]:
        def save(path: Path) -> Any:
            skops.io.dump(estimator.fit(rows[:20_000], late[:20_000]), path)
            return estimator

        return save

    def of_trees(model: Any, chosen: np.ndarray) -> np.ndarray:
        found = np.asarray(shap.TreeExplainer(model).shap_values(chosen, check_additivity=False))
        return found[..., 1] if found.ndim == 3 else found

    def of_linear(model: Any, chosen: np.ndarray) -> np.ndarray:
        return np.asarray(shap.LinearExplainer(model, rows[:100]).shap_values(chosen))

    def of_any(model: Any, chosen: np.ndarray) -> np.ndarray:
        explainer = shap.PermutationExplainer(lambda given: model.predict_proba(given)[:, 1], rows[:20])
        return np.asarray(explainer(chosen, silent=True).values)

    forest = ensemble.RandomForestClassifier(100, max_depth=8, random_state=0)
    boosted = ensemble.HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=31)
    return [
        Family("LightGBM, 100 trees of 31 leaves", "model.txt", lightgbm_file, of_trees, compared=True),
        Family("XGBoost, 100 trees of depth 6", "model.ubj", xgboost_file, of_trees, compared=True),
        Family("scikit-learn, forest of 100 trees", "model.skops", fitted(forest), of_trees, 200, compared=True),
        Family("scikit-learn, boosted 100 trees", "model.skops", fitted(boosted), of_trees, 200, compared=True),
        Family("scikit-learn, logistic", "model.skops", fitted(linear_model.LogisticRegression()), of_linear),
        Family("any other (nearest neighbours)", "model.skops", fitted(neighbors.KNeighborsClassifier()), of_any,
               SAMPLED_ROWS),
    ]  # fmt: skip


def table_of(rows: np.ndarray) -> pa.Table:
    """The rows as a sample for `publish`."""
    return pa.table({name: rows[:, index] for index, name in enumerate(FEATURES)})


def published(family: Family, rows: np.ndarray, folder: Path, threshold: float | None = None) -> tuple[Any, Path]:
    """The model, and its bundle as `publish` builds it."""
    given, bundle = folder / "given", folder / "bundle"
    given.mkdir(parents=True)
    bundle.mkdir()
    model = family.save(given / family.file)
    said = Statement(MODEL, VERSION, "benchmarks", output="probability", threshold=threshold, trained_at_us=0)
    build_bundle(recognise(given / family.file), said, Rows(table_of(rows[:500])), bundle)
    return model, bundle


def measured(family: Family, rows: np.ndarray, folder: Path) -> Cost:
    """Our way and shap's on the same rows in this process."""
    from models.bundles.folders import read_folder_manifest

    model, bundle = published(family, rows, folder)
    manifest = read_folder_manifest(bundle)
    loaded = LoadedModel(manifest, load_scorer(manifest.scorer, bundle, manifest), 0.0, 0, folder=bundle)
    chosen, explainer = rows[: family.rows], Explainer(loaded)
    columns = [chosen[:, index] for index in range(len(FEATURES))]
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], list(FEATURES))
    ids = [f"{row:032x}" for row in range(len(chosen))]
    prepared_s = _cpu(explainer.prepare) + _cpu(lambda: explainer.explain(batch.slice(0, 1), ids[:1]))
    found: list[Any] = []
    ours = _cpu(lambda: found.append(explainer.explain(batch, ids)))
    family.explained(model, chosen[:2])
    theirs = _cpu(lambda: found.append(family.explained(model, chosen)))
    difference = np.abs(found[0].contributions.values - found[1]).max() if family.compared else None
    return Cost(family.name, len(chosen), len(chosen) / ours, len(chosen) / theirs, prepared_s, difference)


def _cpu(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def job_store(rows: np.ndarray, late: np.ndarray, work: Path) -> str:
    """A store whose LightGBM model says `late` of 5 % of the flights."""
    family = families(rows, late)[0]
    model = family.save(work / "trained.txt")
    threshold = float(np.quantile(model.predict(rows), THRESHOLD_SHARE))
    _, bundle = published(family, rows, work / "job", threshold)
    store = ModelStore(str(work / "store"), MODEL)
    store.publish_bundle(bundle)
    store.append_release(champion=VERSION, effective_from_us=0, by="benchmarks")
    return store.url


def job_cost(events: str, store: str, work: Path, explain: dict[str, Any] | None) -> tuple[float, dict[str, Any]]:
    """CPU seconds of one run of the flights job in a process of its own, and its summary."""
    settings = {"events.uri": events, "model.store": store}
    settings |= {f"sinks.{sink}": str(work / "out" / sink) for sink in ("scores", "audit", "dead_letters")}
    settings |= {} if explain is None else {"explain": json.dumps(explain)}
    command = [sys.executable, "-m", "pipeline", "--job", str(ROOT / "benchmarks" / "flights.yaml")]
    command += ["--sinks", "replace", "--summary", str(work / "summary.json")]
    for path, value in settings.items():
        command += ["--set", f"{path}={value}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the job ended with {status}; expected: 0")
    return used.ru_utime + used.ru_stime, json.loads((work / "summary.json").read_text())


def job_rows(events: str, store: str, work: Path, repeat: int) -> list[list[str]]:
    """Rows of the page: the job without reasons, with them, and with all of them whatever they cost."""
    ways: dict[str, dict[str, Any] | None] = {
        "without reasons": None,
        "late flights, budget 0.2": {"when": ["positive"], "budget": 0.2},
        "late flights, no limit": {"when": ["positive"], "budget": 1000},
    }
    used: dict[str, list[float]] = {name: [] for name in ways}
    last: dict[str, dict[str, Any]] = {}
    for _ in range(repeat):
        for name, explain in ways.items():
            seconds, last[name] = job_cost(events, store, work, explain)
            used[name].append(seconds)
    rows = []
    for name, runs in used.items():
        counts, cost = last[name]["reasons"], statistics.median(runs)
        share = counts["computed"] / last[name]["scored"]
        ratio = statistics.median(each / first for each, first in zip(runs, used["without reasons"], strict=True))
        given = f"{counts['computed']:,} ({share:.1%})"
        more = "" if ways[name] is None else f"{ratio - 1:+.1%}"
        rows.append([name, f"{last[name]['scored']:,}", given, f"{counts['dropped']:,}", f"{cost:.1f}", more])
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reasons")
    parser.add_argument("--events", default=str(ROOT / "data" / "departures-*.avro"), help="files to score")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of the job, whose medians are given")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "REASONS.md", help="the page")
    given = parser.parse_args(arguments)
    events = bare_loop.read_events(sorted(glob(given.events))[:2])
    rows = np.asarray(bare_loop.features(events), np.float64)
    delays = events.column(VALUE).to_numpy(zero_copy_only=False)
    late = (np.nan_to_num(delays) + np.random.default_rng(0).normal(0, 20, len(delays)) > 15).astype(int)
    with tempfile.TemporaryDirectory(prefix="halflife-reasons-") as work:
        costs = [measured(each, rows, Path(work) / str(number)) for number, each in enumerate(families(rows, late))]
        store = job_store(rows, late, Path(work))
        jobs = job_rows(given.events, store, Path(work), given.repeat)
    text = "\n\n".join(page(costs, jobs, Path(given.events).name, given.repeat)) + "\n"
    given.out.write_text(text)
    print(text)
    return 0


def page(costs: Sequence[Cost], jobs: list[list[str]], events: str, repeat: int) -> list[str]:
    """The parts of the page."""
    lines = [
        [each.name, f"{each.rows:,}", f"{each.ours:,.0f}", f"{each.shap:,.0f}", f"{each.ours / each.shap:.1f}",
         f"{each.prepared_s:.2f}", "" if each.difference is None else f"{each.difference:.0e}"]
        for each in costs
    ]  # fmt: skip
    heads = ["model", "rows", "rows/s", "shap, rows/s", "times", "prepared once, s", "difference"]
    job = ["the flights job", "scores", "with reasons", "dropped", "CPU s", "more"]
    about = (
        f"The job of benchmarks/flights.yaml on {events} with the LightGBM model above, whose threshold makes 5 % of "
        f"scores a positive decision; whole processes with start-up and tables, medians of {repeat} run(s) in turn. "
        f"Load average of the machine at the end: {os.getloadavg()[0]:.1f}. Aim: at most 20 % more."
    )
    used = ", ".join(f"{name} {version(name)}" for name in ("lightgbm", "xgboost", "shap"))
    title, how = "# What reasons cost", "Written by `python -m benchmarks.reasons`."
    found = [markdown(heads, lines), ABOUT.strip(), "## In a job", markdown(job, jobs), about]
    return [title, how, f"{machine()}, {used}", *found]


if __name__ == "__main__":
    sys.exit(main())
