"""Opens a skops file under an allow list of this project: of types, by the way they are made, then of their
parameters."""

import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.scorers.base import WillNotLoad
from models.scorers.sklearn.skops_library import skops_io
from models.scorers.sklearn.skops_types import ALLOWED, BIT_GENERATORS
from schemas.expectations import wants

_SCHEMA = "schema.json"
# Protocol 0 stored the names of functions and generators where no audit sees them.
_HIDDEN_IN_0 = ("FunctionNode", "RandomGeneratorNode")
_METHODS = frozenset(
    {"auto", "decision_function", "predict", "predict_log_proba", "predict_proba", "score_samples", "transform"}
)
_PLAIN = (str, bytes, int, float, type(None))
_MOST_SHOWN = 10
_AS_OBJECT = " (by ObjectNode)"


def load_skops(path: Path, trust: Collection[str] = ()) -> Any:
    """The object in a skops file, of allowed types and parameters only.

    `trust`: full names of types besides ours that may be made; no functions.

    Raises:
        WillNotLoad: naming what is not allowed; any other exception is skops' own, on a file that is none.
    """
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read(_SCHEMA))
    refused = sorted(set(refused_types(schema, trust)))
    untrusted = [] if refused else skops_io().get_untrusted_types(file=path)
    # Names that skops reports beside those of the schema are composed of texts, such as a generator's bit generator.
    refused += [name for name in untrusted if not (name in trust or _is_known(name))]
    if refused:
        wanted = "scikit-learn's own estimators and what they are made of, and functions of NumPy's and SciPy's ufuncs"
        raise WillNotLoad(f"sklearn: untrusted types {_listed(refused)}; expected: {wanted}{_advice(refused)}")
    found = skops_io().load(path, trusted=untrusted)
    wrong = sorted(set(refused_parameters(found)))
    if wrong:
        raise WillNotLoad(f"sklearn: {path.name} has {_listed(wrong)}")
    return found


def foreign_types(path: Path) -> list[str]:
    """Full names of the types in a skops file that only `trust`, of a bundle and of a job, opens; nothing is made."""
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read(_SCHEMA))
    found = {name for name in refused_types(schema) if name.endswith(_AS_OBJECT)}
    return sorted(name.removesuffix(_AS_OBJECT) for name in found)


def _advice(refused: Sequence[str]) -> str:
    """The command that trusts these types; empty where one of them is no type, which nothing makes trusted."""
    if not all(name.endswith(_AS_OBJECT) for name in refused):
        return ""
    options = " ".join(f"--trust {name.removesuffix(_AS_OBJECT)}" for name in refused[:_MOST_SHOWN])
    return f"; next: halflife models publish {options}, and model.trust in the job's spec"


def refused_types(schema: Mapping[str, Any], trust: Collection[str] = ()) -> Iterator[str]:
    """Every type, function and loader in a skops schema that is not allowed, as text; of the types in `trust` objects
    may be made."""
    protocol = schema.get("protocol")
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        if not isinstance(node, dict):
            continue
        waiting.extend(node.values())
        loader, name = node.get("__loader__"), f"{node.get('__module__')}.{node.get('__class__')}"
        if loader is None:
            continue
        if protocol == 0 and loader in _HIDDEN_IN_0:
            yield f"{name} in the form of a skops before 0.7"
        elif loader == "ObjectNode" and name in trust:
            continue
        elif name not in ALLOWED.get(loader, ()) and not (loader == "FunctionNode" and _is_ufunc(name)):
            yield f"{name} (by {loader})"


def _is_known(name: str) -> bool:
    return name in BIT_GENERATORS or any(name in names for names in ALLOWED.values()) or _is_ufunc(name)


def _is_ufunc(name: str) -> bool:
    from scipy import special  # type: ignore[import-untyped]  # ships no types

    module, _, function = name.rpartition(".")
    library = np if module == "numpy" else special if module.startswith("scipy.special") else None
    return isinstance(getattr(library, function, None), np.ufunc)


def refused_parameters(found: Any) -> Iterator[str]:
    """What in a loaded object could read a file, call one of its arguments or replace a method, as text."""
    for each in objects_in(found):
        yield from _wrong_in(each)


def objects_in(found: Any) -> Iterator[Any]:
    """An object and all that it holds, each once; not the texts, numbers and arrays of numbers."""
    seen: set[int] = set()
    waiting: list[Any] = [found]
    while waiting:
        each = waiting.pop()
        if isinstance(each, _PLAIN) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.extend(_parts_of(each))


def _parts_of(each: Any) -> Iterator[Any]:
    """What an object holds; arrays of numbers and texts are not searched."""
    if isinstance(each, dict):
        yield from each.keys()
        yield from each.values()
    elif isinstance(each, (list, tuple, set)):
        yield from each
    elif isinstance(each, np.ndarray):
        yield from each.ravel().tolist() if each.dtype == object else ()
    elif isinstance(each, partial):
        yield from (each.func, each.args, each.keywords)
    yield from getattr(each, "__dict__", {}).values() if not isinstance(each, type) else ()


def _wrong_in(each: Any) -> Iterator[str]:
    from sklearn.utils.validation import check_array

    if isinstance(each, partial) and each.func is not check_array:
        yield f"a partial of {getattr(each.func, '__name__', each.func)!r}; expected: of check_array"
    if isinstance(each, type) or not type(each).__module__.startswith("sklearn."):
        return
    name = type(each).__name__
    for parameter, value in getattr(each, "__dict__", {}).items():
        if callable(getattr(type(each), parameter, None)):
            hides = f"{name} with an attribute {parameter!r} that hides its method"
            yield f"{hides}; expected: parameters and what was fitted"
        rule = _RULES.get(parameter)
        if rule is not None and not rule(value):
            yield f"{name} with {parameter}={value!r}"[:200] + f"; {wants(_PHRASES[parameter])}"


def _plain(value: Any, allowed: frozenset[str]) -> bool:
    return value is None or (type(value) is str and value in allowed)


def _methods(value: Any) -> bool:
    return all(_plain(one, _METHODS) for one in (value if type(value) in (list, tuple) else [value]))


def _function(value: Any) -> bool:
    return value is None or isinstance(value, (np.ufunc, partial))


def _is_text(value: Any) -> bool:
    return value is None or type(value) is str


_RULES: Mapping[str, Callable[[Any], bool]] = {
    "input": lambda value: type(value) is str and value == "content",
    "memory": lambda value: value is None,
    "func": _function,
    "inverse_func": _function,
    "analyzer": _is_text,
    "preprocessor": _is_text,
    "tokenizer": _is_text,
    **dict.fromkeys(("response_method", "_response_method", "stack_method", "stack_method_"), _methods),
}
"""Parameters that name files, folders, functions or methods; by their name, for every estimator."""
_METHOD_NAMES = ", ".join(sorted(_METHODS))
_PHRASES: Mapping[str, str] = {
    "input": "'content'; a file that the text names is not read",
    "memory": "None (set_params(memory=None) before it is saved): it names a folder",
    "func": "none, a ufunc of NumPy or SciPy, or a partial of check_array",
    "inverse_func": "none, a ufunc of NumPy or SciPy, or a partial of check_array",
    **dict.fromkeys(("analyzer", "preprocessor", "tokenizer"), "a text or none, no function"),
    **dict.fromkeys(("response_method", "_response_method", "stack_method", "stack_method_"), _METHOD_NAMES),
}


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    return "; ".join(found[:_MOST_SHOWN]) + more
