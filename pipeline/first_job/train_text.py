"""The text of a first job's `train.py`: the training set, a scikit-learn model, and its publication."""

from pipeline.first_job.proposal import Proposal

_HEAD = '''"""Made by `halflife init`: writes the training set of job.yaml, trains {what} and publishes it.

python train.py [VERSION]     (1 where none is given)
"""

import subprocess
import sys

import pandas
import skops.io
{imports}

VERSION = sys.argv[1] if len(sys.argv) > 1 else "1"
NUMBERS = {numbers}
FLAGS = {flags}
TEXTS = {texts}
INPUTS = NUMBERS + FLAGS + TEXTS
LABEL = {label}


def halflife(*words):
    code = subprocess.run([sys.executable, "-P", "-m", "halflife", *words, "--job", "job.yaml"]).returncode
    if code:  # the command has said why
        sys.exit(code)


def rows_of(folder):
    """A training set as scikit-learn reads it: numbers and gaps."""
    rows = pandas.read_parquet(folder)
    return rows.astype({{name: float for name in NUMBERS + FLAGS}})


'''
_SPLIT = '''# Features as the job computes them, and labels as they were known{split_said}.
halflife("features", "--out", "out/training"{features})
'''
_ENCODED = '''texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
columns = make_column_transformer((texts, TEXTS), remainder="passthrough")
'''
_TRIED = '''train, test = rows_of("out/training/train"), rows_of("out/training/test")
{varied}model.fit(train[INPUTS], train[LABEL])
{tried}
'''
_ALL = '''train = rows_of("out/training")
{varied}model.fit(train[INPUTS]{target})
'''
_VARIED = '''if train[LABEL].nunique() < 2:
    sys.exit("train.py: the labels to learn from are all the same; expected: different ones; next: more events{other}")
'''
_BINARY = '''quality = []
if test[LABEL].nunique() == 2:
    auc = roc_auc_score(test[LABEL], model.predict_proba(test[INPUTS])[:, 1])
    print(f"AUC on {len(test):,} events after the split: {auc:.3f} (0.5 is chance)")
    quality = ["--quality", f"auc={auc}"]
else:
    print("no AUC: the events after the split have one class of labels")'''
_NUMBER = '''error = mean_absolute_error(test[LABEL], model.predict(test[INPUTS]))
print(f"mean absolute error on {len(test):,} events after the split: {error:.4g}")
quality = ["--quality", f"mae={error}"]'''
_TAIL = '''
skops.io.dump(model, "model.skops")
inputs = [word for name in NUMBERS for word in ("--input", f"{name}:number:nullable")]
inputs += [word for name in FLAGS for word in ("--input", f"{name}:boolean:nullable")]
halflife("models", "publish", "model.skops", "--version", VERSION, "--sample", "SAMPLE", *inputs, OUTPUT)
'''
_OUTPUTS = {
    "binary": '"--output", "probability", "--positive", "True", "--threshold", "0.5", *quality',
    "number": '"--output", "regression", *quality',
    "none": '"--output", "regression", "--setting", "method=score_samples"',
}
_MODELS = {
    "binary": ("HistGradientBoostingClassifier", "HistGradientBoostingClassifier(max_iter=100, random_state=0)"),
    "number": ("HistGradientBoostingRegressor", "HistGradientBoostingRegressor(max_iter=100, random_state=0)"),
    "none": ("IsolationForest", "IsolationForest(random_state=0)"),
}
_METRICS = {"binary": "roc_auc_score", "number": "mean_absolute_error"}
_WHAT = {"binary": "a classifier", "number": "a regression", "none": "an IsolationForest, since there is no label,"}


def train_text(made: Proposal) -> str:
    """The script that trains the first version of a job's model."""
    kind = "none" if made.label is None else "binary" if made.label.is_binary else "number"
    numbers = [*made.chosen.numbers, *(each["name"] for each in made.chosen.windowed)]
    is_tried = kind != "none" and made.split_at is not None
    head = _HEAD.format(
        what=_WHAT[kind],
        imports="\n".join(_imports(kind, bool(made.chosen.texts), is_tried)),
        numbers=numbers,
        flags=list(made.chosen.flags),
        texts=list(made.chosen.texts),
        label=repr("__label" if "label" in made.chosen.columns else "label"),
    )
    estimator = _MODELS[kind][1]
    model = f"model = make_pipeline(columns, {estimator})\n" if made.chosen.texts else f"model = {estimator}\n"
    encoded = _ENCODED if made.chosen.texts else ""
    sample = "out/training/train" if is_tried else "out/training"
    tail = _TAIL.replace("SAMPLE", sample).replace("OUTPUT", _OUTPUTS[kind])
    return head + _set(made, is_tried) + encoded + model + _fitted(made, kind) + tail


def _set(made: Proposal, is_tried: bool) -> str:
    words = ', "--sinks", "replace"'
    if made.label is not None:
        words += ', "--labels"'
    if is_tried:
        words += f', "--split_at", "{made.split_at}"'
    text = _SPLIT.format(split_said="; the last events are kept for a trial" if is_tried else "", features=words)
    return text if made.label is not None else text.replace(", and labels as they were known", "")


def _fitted(made: Proposal, kind: str) -> str:
    if made.split_at is not None and kind != "none":
        varied = _VARIED.format(other=", or another --split_at in train.py")
        return _TRIED.format(varied=varied, tried=_BINARY if kind == "binary" else _NUMBER)
    if kind == "none":
        return _ALL.format(varied="", target="")
    return _ALL.format(varied=_VARIED.format(other=""), target=", train[LABEL]") + f"quality = []  # {made.untried}\n"


def _imports(kind: str, texts: bool, is_tried: bool) -> list[str]:
    found = [f"from sklearn.ensemble import {_MODELS[kind][0]}"]
    if is_tried:
        found.append(f"from sklearn.metrics import {_METRICS[kind]}")
    if texts:
        found.append("from sklearn.compose import make_column_transformer")
        found.append("from sklearn.pipeline import make_pipeline")
        found.append("from sklearn.preprocessing import OneHotEncoder")
    return sorted(found)
