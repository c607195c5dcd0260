"""What a skops file may hold: scikit-learn's own models, and nothing that reads files or calls what it is given."""

import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # lets the next import find it
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, TweedieRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, SplineTransformer, StandardScaler
from skops.io import _trusted_types as trusted

from models.scorers import WillNotLoad
from models.scorers.sklearn.skops_files import load_skops, refused_types
from tests.pipeline.commands.commands import Models

RANDOM = np.random.default_rng(0)
ROWS = pd.DataFrame(np.abs(RANDOM.normal(size=(60, 2))), columns=["a", "b"])
CLASSES = np.tile([0, 1], 30)
AMOUNTS = np.exp(ROWS.a.to_numpy())
TEXTS = pd.DataFrame({"t": ["some words", "other words"] * 30, "a": range(60)})


def selecting(**kinds: Any) -> Any:
    return make_column_transformer((StandardScaler(), make_column_selector(**kinds)))


OWN: dict[str, Callable[[], Any]] = {
    "tweedie": lambda: TweedieRegressor(power=1.5).fit(ROWS, AMOUNTS),
    "stacking": lambda: StackingClassifier([("a", LogisticRegression())]).fit(ROWS, CLASSES),
    "voting": lambda: VotingClassifier([("a", LogisticRegression())], voting="soft").fit(ROWS, CLASSES),
    "spline": lambda: make_pipeline(SplineTransformer(), Ridge()).fit(ROWS, AMOUNTS),
    "voting regressor": lambda: VotingRegressor([("a", Ridge())]).fit(ROWS, AMOUNTS),
    "select": lambda: make_pipeline(SelectKBest(chi2, k=1), LogisticRegression()).fit(ROWS, CLASSES),
    "search": lambda: GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2, scoring="roc_auc").fit(ROWS, CLASSES),
    "process": lambda: GaussianProcessRegressor(Matern() + WhiteKernel()).fit(ROWS, AMOUNTS),
    "neighbours": lambda: KNeighborsClassifier(algorithm="ball_tree", metric="l1").fit(ROWS, CLASSES),
    "categories": lambda: HistGradientBoostingRegressor(max_iter=2, categorical_features=[0]).fit(ROWS, AMOUNTS),
    "gradient": lambda: make_pipeline(PowerTransformer(), SGDClassifier(loss="log_loss")).fit(ROWS, CLASSES),
    "numbers": lambda: make_pipeline(selecting(dtype_include=np.number), Ridge()).fit(ROWS, AMOUNTS),
    "no objects": lambda: make_pipeline(selecting(dtype_exclude=object), Ridge()).fit(ROWS, AMOUNTS),
    "imputer": lambda: make_pipeline(IterativeImputer(max_iter=2), Ridge()).fit(ROWS, AMOUNTS),
    "logs": lambda: make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(ROWS, AMOUNTS),
}


@pytest.mark.parametrize("name", OWN)
def test_own_types_are_published_and_answer_as_the_library(models: Models, tmp_path: Path, name: str) -> None:
    model = OWN[name]()
    skops.io.dump(model, tmp_path / "m.skops")
    answers = model.predict_proba(ROWS)[:, 1] if hasattr(model, "predict_proba") else model.predict(ROWS)
    ROWS.assign(score=answers).to_csv(tmp_path / "golden.csv", index=False)
    output = "probability" if hasattr(model, "predict_proba") else "regression"
    words = ("--version", "n1", "--output", output, "--golden", tmp_path / "golden.csv")
    ran = models("publish", tmp_path / "m.skops", *words, "--json")
    assert ran.code == 0, ran
    assert ran.json["golden_records"] == 60


def vectorised(vectorizer: Any) -> Any:
    return make_pipeline(make_column_transformer((vectorizer, "t")), LogisticRegression()).fit(TEXTS, CLASSES)


def reads_files(kind: type, value: Any = "filename") -> Any:
    model = vectorised(kind())
    model[0].transformers_[0][1].input = value
    return model


def stacked(method: str) -> Any:
    model = OWN["stacking"]()
    model.stack_method_ = [method]
    return model


def shadowed() -> Any:
    model = OWN["tweedie"]()
    model.predict = np.exp
    return model


def with_memory() -> Any:
    return OWN["spline"]().set_params(memory="/tmp/cache")


def with_generator() -> Any:
    return LogisticRegression().fit(ROWS, CLASSES).set_params(random_state=np.random.default_rng(0))


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "a file that a text names": (lambda: reads_files(CountVectorizer), "CountVectorizer with input='filename'"),
    "a file, by tf-idf": (lambda: reads_files(TfidfVectorizer), "TfidfVectorizer with input='filename'"),
    "an open file": (lambda: reads_files(HashingVectorizer, "file"), "HashingVectorizer with input='file'"),
    "another text type": (lambda: reads_files(CountVectorizer, np.str_("filename")), "CountVectorizer with input="),
    "any method": (lambda: stacked("fit"), "StackingClassifier with stack_method_=['fit']"),
    "a function for a method": (shadowed, "TweedieRegressor with an attribute 'predict' that hides its method"),
    "a folder": (with_memory, "Pipeline with memory='/tmp/cache'"),
    "a partial": (lambda: FunctionTransformer(partial(np.mean, axis=1)), "a partial of 'mean'"),
    "a type as a function": (lambda: FunctionTransformer(str), "FunctionTransformer with func=<class 'str'>"),
    "a container": (lambda: FunctionTransformer(list), "builtins.list (by TypeNode)"),
    "a method": (lambda: FunctionTransformer(Ridge().fit), "(by MethodNode)"),
    "one that answers nothing new": (lambda: __import__("sklearn.cluster").cluster.DBSCAN().fit(ROWS), "DBSCAN"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_parameters_that_could_read_or_call_are_refused_by_name(models: Models, tmp_path: Path, name: str) -> None:
    make, says = HOSTILE[name]
    skops.io.dump(make(), tmp_path / "m.skops")
    words = ("--version", "n1", "--output", "regression", "--input", "t:string", "--input", "a:number")
    ran = models("publish", tmp_path / "m.skops", *words, "--json")
    assert (ran.code, ran.json.get("reason")) == (1, "will_not_load"), ran
    assert says in ran.json["detail"]


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with another schema, as no dump would write it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(parts["schema.json"])
    change(schema)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, "schema.json": json.dumps(schema).encode()}.items():
            archive.writestr(name, content)
    return path


def node(loader: str, name: str, **rest: Any) -> dict[str, Any]:
    module, _, kind = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": kind, **rest}


def inserted(tmp_path: Path, parameter: str, wrong: dict[str, Any]) -> Path:
    skops.io.dump(with_generator(), tmp_path / "m.skops")
    return rewritten(tmp_path / "m.skops", lambda schema: schema["content"]["content"].update({parameter: wrong}))


ARGUMENTS = node("TupleNode", "builtins.tuple", content=[])


@pytest.mark.parametrize(
    "wrong",
    [
        node("ConstructorFromReduceNode", "functools.partial", content=ARGUMENTS),
        node("ObjectNode", "functools.partial", content=None),
        node("FunctionNode", "sklearn.tree._tree.Tree"),
        node("TypeNode", "builtins.map"),
        node("OperatorFuncNode", "operator.methodcaller", attrs=ARGUMENTS),
        node("UnheardOfNode", "numpy.ndarray"),
    ],
    ids=lambda wrong: str(wrong["__loader__"]),
)
def test_trusted_name_made_in_another_way_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(WillNotLoad, match=f"by {wrong['__loader__']}"):
        load_skops(inserted(tmp_path, "C", wrong))


def test_generator_calls_no_function_that_a_text_names(tmp_path: Path) -> None:
    skops.io.dump(with_generator(), tmp_path / "m.skops")

    def seeds(schema: dict[str, Any]) -> None:
        state = schema["content"]["content"]["random_state"]["content"]["bit_generator"]["content"]
        state["bit_generator"]["content"] = '"seed"'

    with pytest.raises(WillNotLoad, match=r"numpy\.random\.seed"):
        load_skops(rewritten(tmp_path / "m.skops", seeds))
    skops.io.dump(with_generator(), tmp_path / "m.skops")
    with pytest.raises(WillNotLoad, match="in the form of a skops before"):
        load_skops(rewritten(tmp_path / "m.skops", lambda schema: schema.update(protocol=0)))


ACCEPTED = {
    "ObjectNode": [*trusted.SKLEARN_ESTIMATOR_TYPE_NAMES, *trusted.SKLEARN_INTERNAL_TYPE_NAMES],
    "FunctionNode": [*trusted.NUMPY_UFUNC_TYPE_NAMES, *trusted.SCIPY_UFUNC_TYPE_NAMES],
    "TypeNode": [*trusted.PRIMITIVE_TYPE_NAMES, *trusted.CONTAINER_TYPE_NAMES, *trusted.NUMPY_DTYPE_TYPE_NAMES],
    "NdArrayNode": trusted.NUMPY_DTYPE_TYPE_NAMES,
}
"""Every type of the installed scikit-learn, NumPy and SciPy that skops makes unasked."""
REFUSED = {
    "ObjectNode": {
        "sklearn.cluster._agglomerative.AgglomerativeClustering",
        "sklearn.cluster._bicluster.SpectralBiclustering",
        "sklearn.cluster._bicluster.SpectralCoclustering",
        "sklearn.cluster._dbscan.DBSCAN",
        "sklearn.cluster._hdbscan.hdbscan.HDBSCAN",
        "sklearn.cluster._optics.OPTICS",
        "sklearn.cluster._spectral.SpectralClustering",
        "sklearn.manifold._classical_mds.ClassicalMDS",
        "sklearn.manifold._mds.MDS",
        "sklearn.manifold._spectral_embedding.SpectralEmbedding",
        "sklearn.manifold._t_sne.TSNE",
    },
    "FunctionNode": set(),
    "TypeNode": {f"builtins.{name}" for name in ("list", "map", "set", "tuple")} | {"numpy.object_", "numpy.void"},
    "NdArrayNode": {"numpy.object_", "numpy.void"},
}


@pytest.mark.parametrize("loader", ACCEPTED)
def test_of_all_that_skops_trusts_just_these_are_refused(loader: str) -> None:
    assert len(ACCEPTED[loader]) > 20
    refused = {name for name in ACCEPTED[loader] if list(refused_types(node(loader, name)))}
    assert refused == REFUSED[loader]


def test_text_models_and_forests_load(tmp_path: Path) -> None:
    for model in (
        vectorised(CountVectorizer()),
        vectorised(TfidfVectorizer(stop_words=["words"])),
        IsolationForest(n_estimators=3).fit(ROWS),
        GradientBoostingClassifier(n_estimators=2).fit(ROWS, CLASSES),
    ):
        skops.io.dump(model, tmp_path / "m.skops")
        assert type(load_skops(tmp_path / "m.skops")) is type(model)
