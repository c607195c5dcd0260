"""What each input added to an estimator's answer: exact for linear models, TreeSHAP for trees and forests."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.scorers.contributions import Contributions, Floats, Scale
from models.scorers.sklearn.owners import owners_of

_LINEAR = frozenset(
    (
        *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "BayesianRidge"),
        *("HuberRegressor", "SGDRegressor", "LinearSVR", "TheilSenRegressor", "QuantileRegressor"),
    )
)
_LOG_LINEAR = frozenset(("PoissonRegressor", "GammaRegressor"))
_LOGISTIC = frozenset(("LogisticRegression", "LogisticRegressionCV"))
_PROBABLE = frozenset(
    ("DecisionTreeClassifier", "ExtraTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier")
)
_TREES = frozenset(
    (
        *("DecisionTreeRegressor", "ExtraTreeRegressor", "RandomForestRegressor", "ExtraTreesRegressor"),
        *("GradientBoostingRegressor", "HistGradientBoostingRegressor"),
    )
)
_BOOSTED = frozenset(("GradientBoostingClassifier", "HistGradientBoostingClassifier"))
_PREDICTED = {"predict": _LINEAR | _LOG_LINEAR | _TREES, "predict_proba": frozenset[str]()}
_OF_CLASSES = _LOGISTIC | _PROBABLE | _BOOSTED


class Contributing:
    """An estimator's last step and what comes before it; `method` is the one that answers.

    `is_known`: whether there is a method for it: its last step is linear or of trees, and each column that the step
    reads is made of one input, whose contribution is the sum of those of its columns.
    """

    def __init__(self, estimator: Any, method: str) -> None:
        steps = getattr(estimator, "steps", None)
        self._last = steps[-1][1] if steps else estimator
        self._before = estimator[:-1] if steps and len(steps) > 1 else None
        self._kind = type(self._last).__name__ if type(self._last).__module__.startswith("sklearn.") else ""
        self._classes = getattr(self._last, "classes_", None)
        by_class = self._kind in _OF_CLASSES and method in ("predict_proba", "predict")
        one_output = not isinstance(self._classes, list) and getattr(self._last, "n_outputs_", 1) == 1
        self.is_known = one_output and (by_class or self._kind in _PREDICTED.get(method, ()))
        self._answers_class = method == "predict" and by_class
        self._lock = threading.Lock()
        self._shap: Any = None

    def of(self, features: Any, names: Sequence[str], positive: int) -> Contributions | None:
        """Of n > 0 rows as the estimator reads them, columns in the order of `names`; `positive`: the class whose
        probability is the answer. None where a column is made of several inputs."""
        owners = list(range(len(names))) if self._before is None else owners_of(self._before, range(len(names)))
        read = features if self._before is None else self._before.transform(features)
        rows = np.asarray(read.toarray() if hasattr(read, "toarray") else read, np.float64) if owners else None
        if owners is None or rows is None or rows.shape[1] != len(owners):
            return None
        linear = self._kind in _LINEAR | _LOG_LINEAR | _LOGISTIC
        base, parts, margins = self._terms(rows) if linear else self._by_shap(rows, read)
        chosen, sign = self._chosen(margins, positive)
        index = np.arange(len(rows))
        values = np.zeros((len(rows), len(names)))
        for column, owner in enumerate(owners):
            values[:, owner] += parts[index, column, chosen]
        margin = margins[index, chosen]
        return Contributions(base[chosen], values, margin, self._scale(margins.shape[1]), linear).times(sign)

    def _terms(self, rows: Floats) -> tuple[Floats, Floats, Floats]:
        """Base (outputs,), contributions (n, columns, outputs) and margins (n, outputs)."""
        weights = np.atleast_2d(np.asarray(self._last.coef_, np.float64))
        base = np.broadcast_to(np.asarray(self._last.intercept_, np.float64).reshape(-1), (len(weights),))
        return np.asarray(base), rows[:, :, np.newaxis] * weights.T[np.newaxis], rows @ weights.T + base

    def _by_shap(self, rows: Floats, read: Any) -> tuple[Floats, Floats, Floats]:
        """As `_terms`, by the path-dependent TreeSHAP of `shap`; the margins are the estimator's own."""
        import shap  # type: ignore[import-untyped]  # ships no types

        with self._lock:
            if self._shap is None:
                self._shap = shap.TreeExplainer(self._last, feature_perturbation="tree_path_dependent")
            parts = np.asarray(self._shap.shap_values(rows, check_additivity=False), np.float64)
            base = np.atleast_1d(np.asarray(self._shap.expected_value, np.float64))
        margins = self._margins(read)
        return base, parts.reshape(len(rows), rows.shape[1], -1), margins.reshape(len(rows), -1)

    def _margins(self, read: Any) -> Floats:
        if self._kind in _PROBABLE:
            return np.asarray(self._last.predict_proba(read), np.float64)
        if self._kind in _BOOSTED:
            return np.asarray(self._last.decision_function(read), np.float64)
        answer = np.asarray(self._last.predict(read), np.float64)
        return np.log(answer) if self._is_log else answer

    def _chosen(self, margins: Floats, positive: int) -> tuple[npt.NDArray[np.int64], Floats]:
        rows, outputs = margins.shape
        if not self._answers_class:
            upside_down = self._kind in _OF_CLASSES and outputs == 1 and positive == 0
            index = 0 if outputs == 1 else positive
            return np.full(rows, index), np.full(rows, -1.0 if upside_down else 1.0)
        if outputs > 1:
            return np.argmax(margins, axis=1), np.ones(rows)
        return np.zeros(rows, np.int64), np.where(margins[:, 0] > 0, 1.0, -1.0)

    @property
    def _is_log(self) -> bool:
        return self._kind in _LOG_LINEAR or getattr(self._last, "loss", "") in ("poisson", "gamma")

    def _scale(self, outputs: int) -> Scale:
        if self._answers_class:
            return "margin"
        if self._kind in _LOGISTIC | _BOOSTED:
            return "log_odds" if outputs == 1 else "margin"
        return "log" if self._is_log else "score"
