"""`halflife models compare A B`: what two versions state about themselves, and where they differ."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from models.bundles.manifest import Manifest
from models.errors import BundleRefused
from models.store.store import ModelStore
from models.strict_json import parse_object
from pipeline.command_line.parsing import Arguments, OneLineParser, add_actor_option, add_store_options
from pipeline.commands.models.location import check_version_known, find_location
from pipeline.commands.output import exit_code, print_pairs, print_table
from pipeline.reporting.printer import print_json

_GOLDEN_BYTES = 64 * 1024 * 1024
# What is compared item by item below, or names the version itself.
_APART = frozenset({"model", "version", "files", "inputs", "training", "quality", "golden", "format"})
Pair = Mapping[str, Any]
Both = tuple[Manifest, Manifest]


def compare(arguments: Arguments) -> int:
    """`halflife models compare A B`; returns the exit code."""
    parser = OneLineParser("halflife models compare", "Compare two versions: manifests, inputs, training, quality.")
    for name, what in (("A", "the version to compare with"), ("B", "the version that is compared")):
        parser.add_argument(f"version_{name.lower()}", metavar=name, help=what)
    add_actor_option(parser)
    add_store_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: _compare(options), options.verbose)


def _compare(options: argparse.Namespace) -> None:
    store = find_location(options).store
    names = (options.version_a, options.version_b)
    for argument, version in zip(("A", "B"), names, strict=True):
        check_version_known(store, version, argument)
    for version in names:  # the access is recorded first: if that fails, nothing is shown
        store.record_access("compare", options.by, version=version)
    report = compared(store, (store.read_manifest(names[0]), store.read_manifest(names[1])))
    if options.json:
        print_json(report)
    else:
        _print(report)


def compared(store: ModelStore, both: Both) -> dict[str, Any]:
    """The report of two versions of one store.

    Raises:
        StoreError: the store does not answer.
    """
    documents = tuple(parse_object(each.raw) for each in both)
    trained = [{name: value for name, value in each.training.items() if name != "data"} for each in both]
    first, second = ({name: value for name, value in each.items() if name not in _APART} for each in documents)
    return {
        "model": store.model,
        "a": both[0].version,
        "b": both[1].version,
        "digests": {"a": both[0].digest, "b": both[1].digest},
        "identical": documents[0] | {"version": ""} == documents[1] | {"version": ""},
        "manifest": _differing(first, second),
        "inputs": _inputs(documents[0], documents[1]),
        "training": _differing(_flat(trained[0]), _flat(trained[1])),
        "data": _data(both),
        "quality": _quality(both),
        "golden": _golden(store, both),
    }


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The keys whose values differ, with both values; null where a version does not state one."""
    names = dict.fromkeys([*first, *second])
    pairs = {name: {"a": first.get(name), "b": second.get(name)} for name in names}
    return {name: pair for name, pair in pairs.items() if pair["a"] != pair["b"]}


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings within it by dotted names: `hyperparameters.max_iter`."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        inner = _flat(value) if isinstance(value, Mapping) else {}
        flat |= {f"{name}.{key}": each for key, each in inner.items()} if inner else {name: value}
    return flat


def _inputs(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    of_a, of_b = ({each["name"]: each for each in document["inputs"]} for document in (first, second))
    shared = [name for name in of_a if name in of_b]
    return {
        "only_a": [name for name in of_a if name not in of_b],
        "only_b": [name for name in of_b if name not in of_a],
        "changed": _differing({name: of_a[name] for name in shared}, {name: of_b[name] for name in shared}),
        "same": sum(of_b.get(name) == entry for name, entry in of_a.items()),
        "same_order": shared == [name for name in of_b if name in of_a],
    }


def _data(both: Both) -> dict[str, Any]:
    """Training data by content where its digest is stated, else by all that is."""
    of_a, of_b = ({each.get("sha256") or json.dumps(each, sort_keys=True): each for each in m.training.get("data", ())}
                  for m in both)  # fmt: skip
    return {
        "only_a": [each for key, each in of_a.items() if key not in of_b],
        "only_b": [each for key, each in of_b.items() if key not in of_a],
        "both": len(of_a.keys() & of_b.keys()),
    }


def _quality(both: Both) -> dict[str, dict[str, Any]]:
    """Each metric with both values, and what B has more; null where a version does not state it."""
    of_a, of_b = (_flat(each.quality) for each in both)
    return {name: _metric(of_a.get(name), of_b.get(name)) for name in dict.fromkeys([*of_a, *of_b])}


def _metric(a: Any, b: Any) -> dict[str, Any]:
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (a, b))
    return {"a": a, "b": b, "difference": b - a if numbers else None}


def _golden(store: ModelStore, both: Both) -> dict[str, Any]:
    """What both versions are recorded to answer to the same inputs; a problem where golden records cannot be read."""
    try:
        answers = [_answers(store, each) for each in both]
    except (BundleRefused, ValueError, KeyError, TypeError, AttributeError) as error:
        return {"problem": str(error) or "the golden records cannot be read"}
    shared = [key for key in answers[0] if key in answers[1]]
    apart = [abs(answers[1][key] - answers[0][key]) for key in shared]
    return {
        "a": len(answers[0]),
        "b": len(answers[1]),
        "shared": len(shared),
        "equal": sum(each == 0 for each in apart),
        "mean_difference": math.fsum(apart) / len(apart) if apart else None,
        "max_difference": max(apart, default=None),
    }


def _answers(store: ModelStore, manifest: Manifest) -> dict[str, float]:
    """The recorded scores by the inputs, as canonical JSON; none of a version without golden records."""
    if manifest.golden is None:
        return {}
    lines = store.read_file(manifest, manifest.golden.file, _GOLDEN_BYTES).splitlines()
    records = [parse_object(line) for line in lines if line.strip()]
    return {json.dumps(each["inputs"], sort_keys=True): float(each["score"]) for each in records}


def _print(report: Mapping[str, Any]) -> None:
    a, b, inputs, golden = report["a"], report["b"], report["inputs"], report["golden"]
    same = "the same but for the version's name" if report["identical"] else ""
    print_pairs([("versions", f"{report['model']} {a} and {b}"), ("they are", same),
                 *((f"digest of {report[key]}", report["digests"][key]) for key in ("a", "b"))])  # fmt: skip
    rows = [[name, *_values(pair)] for name, pair in (report["manifest"] | report["training"]).items()]
    _table(("differs", a, b), rows)
    listed = [[name, "yes", ""] for name in inputs["only_a"]] + [[name, "", "yes"] for name in inputs["only_b"]]
    _table(("input", a, b), listed + [[name, *_values(pair)] for name, pair in inputs["changed"].items()])
    data = [[*_values({"a": each, "b": None})] for each in report["data"]["only_a"]]
    _table((f"data only of {a}", f"data only of {b}"), data + [["", _text(each)] for each in report["data"]["only_b"]])
    metrics = [[name, *_values(pair), pair["difference"]] for name, pair in report["quality"].items()]
    _table(("quality", a, b, "difference"), metrics)
    recorded = [(f"golden records, {name.replace('_', ' ')}", value) for name, value in golden.items()]
    same_inputs = f"{inputs['same']}" + ("" if inputs["same_order"] else ", in another order")
    print_pairs([("inputs the same", same_inputs), ("training data of both", report["data"]["both"]), *recorded])


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        print_table(columns, rows)


def _values(pair: Pair) -> list[str]:
    return [_text(pair["a"]), _text(pair["b"])]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
