"""Manifests are untrusted: what is wrong is named with its path, value and what is allowed."""

import hashlib
import json
import pickle
from typing import Any

import pytest

from models.bundles.manifest import Decisions, Golden, Input, InvalidManifest, PathOutside, Reason, parse_manifest
from models.scorers.base import payload_files
from tests.models.bundle_folders import INPUTS, LINEAR, document

SHA = "a" * 64
TRAINING = {"trained_at": "2013-03-01T00:00:00Z"}


def raw(**changes: Any) -> bytes:
    return json.dumps({"files": {}, **document(**changes)}).encode()


def test_digest_is_the_sha256_of_the_bytes() -> None:
    content = raw()
    manifest = parse_manifest(content)
    assert manifest.digest == hashlib.sha256(content).hexdigest()
    assert manifest.raw == content
    assert parse_manifest(content + b"\n").digest != manifest.digest


def test_every_statement_of_a_file_is_read() -> None:
    manifest = parse_manifest(
        raw(
            files={"gold.jsonl": SHA, "profile.json": SHA},
            golden={"file": "gold.jsonl", "tolerance": 0.5},
            profile="profile.json",
            quality={"auc": 0.7, "by_segment": {"origin": {"JFK": {"auc": 0.6}}}},
            output={"kind": "probability", "threshold": 0.4, "positive": "1"},
        )
    )
    assert manifest.inputs[0] == Input("delay", "number", nullable=True, default=5.0)
    assert manifest.inputs[3] == Input("carrier", "string")
    assert manifest.golden == Golden("gold.jsonl", 0.5)
    assert (manifest.profile, manifest.output.threshold, manifest.quality["auc"]) == (
        "profile.json",
        0.4,
        0.7,
    )
    assert manifest.linear is not None
    assert manifest.linear.link == "logistic"


FORMAT_2 = {
    "format": 2,
    "files": {"gold.jsonl": SHA, "explainer.arrow": SHA, "records.txt": SHA, "model.bin": SHA},
    "libraries": {"scikit-learn": "1.3.2", "numpy": "1.26.0"},
    "accepted_libraries": {"scikit-learn": "1.9.0"},
    "golden": {"file": "gold.jsonl", "by": "trainer"},
    "output": {"kind": "probability", "decisions": {"positive": "refuse", "negative": "grant"}},
    "reasons": {"delay": {"code": "R1", "positive": "late", "negative": None, "suppress": True}, "distance": {}},
    "importance": {"delay": 0.75},
    "explainer": {"file": "explainer.arrow"},
    "trust": ["sklearn.tree._tree.Tree"],
    "training": {
        **TRAINING,
        "hyperparameters": {"depth": 3},
        "records": "records.txt",
        "decision": "advice-1",
        "data": [{"uri": "x", "from": "2013-01-01T00:00:00Z", "to": None}],
    },
    "quality": {"auc": 0.7, "by_segment": {"origin": {"JFK": {"auc": None}}}},
}


def test_format_2_is_read() -> None:
    manifest = parse_manifest(raw(**FORMAT_2))
    assert (manifest.format, manifest.libraries["scikit-learn"]) == (2, "1.3.2")
    assert manifest.accepted_libraries == {"scikit-learn": "1.9.0"}
    assert manifest.golden == Golden("gold.jsonl", by="trainer")
    assert manifest.output.decisions == Decisions("refuse", "grant")
    assert manifest.reasons == {"delay": Reason("R1", "late", None, suppress=True), "distance": Reason()}
    assert (manifest.importance, manifest.explainer) == ({"delay": 0.75}, "explainer.arrow")
    assert manifest.trust == ("sklearn.tree._tree.Tree",)
    assert payload_files(manifest) == ["model.bin"]
    assert pickle.loads(pickle.dumps(manifest)) == manifest


def test_format_1_says_nothing_of_format_2() -> None:
    manifest = parse_manifest(raw(files={"gold.jsonl": SHA}, golden={"file": "gold.jsonl"}))
    assert (manifest.format, manifest.libraries, manifest.accepted_libraries) == (1, {}, {})
    assert manifest.golden is not None
    assert manifest.golden.by == "publish"
    assert (manifest.reasons, manifest.importance, manifest.explainer, manifest.trust) == ({}, {}, None, ())


@pytest.mark.parametrize("later", [3, 4, 10**30])
def test_later_format_is_refused_with_the_version_of_halflife_that_is_needed(later: int) -> None:
    content = raw(format=later, output={"kind": "ranking"}, of_later={"x": 1})
    with pytest.raises(InvalidManifest, match=rf"^format: {later} is not allowed; .* needs a Halflife later than \d"):
        parse_manifest(content)


def test_manifest_can_be_pickled() -> None:
    manifest = parse_manifest(raw())
    assert pickle.loads(pickle.dumps(manifest)) == manifest
    assert len({manifest, parse_manifest(raw())}) == 1


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"modl": "x"}, "modl: unknown key; allowed: .*; did you mean 'model'?"),
    ({"model": None}, "model: missing; allowed: 1 to 128 of the characters"),
    ({"version": "../v1"}, "version: '../v1' is not allowed; allowed: 1 to 128"),
    ({"version": "v1\n"}, r"version: 'v1\\n' is not allowed"),
    ({"scorer": 3}, "scorer: 3 is not allowed; expected: the kind of a scorer"),
    ({"files": {"x": "abc"}}, "files.x: 'abc' is not allowed; expected: a sha256 in 64"),
    ({"files": {"manifest.json": SHA}}, "files: 'manifest.json' is not allowed"),
    ({"files": {"a": SHA, "a/b": SHA}}, "files: 'a' is not allowed"),
    ({"inputs": []}, r"inputs: \[\] is not allowed; expected: a list of 1 to"),
    (
        {"inputs": [{"name": "a", "type": "text"}]},
        r"inputs\[0\].type: 'text' .* number, integer, boolean, string",
    ),
    ({"inputs": [INPUTS[0], INPUTS[0]]}, r"inputs\[1\].name: 'delay' is not allowed"),
    (
        {"inputs": [{"name": "a", "type": "integer", "default": 1.5}]},
        r"inputs\[0\].default: 1.5 is not allowed",
    ),
    ({"inputs": [{"name": "a", "type": "integer", "default": 2**63}]}, r"inputs\[0\].default"),
    ({"inputs": [{"name": "a", "type": "number", "default": True}]}, r"inputs\[0\].default: True"),
    ({"output": {"kind": "rank"}}, "output.kind: 'rank' .* probability, regression, class"),
    ({"output": {"kind": "class", "treshold": 1}}, "output.treshold: unknown key.*'threshold'"),
    ({"training": {}}, "training.trained_at: missing; expected: an RFC 3339 time"),
    ({"training": {"trained_at": "2013-13-01T00:00:00Z"}}, "training.trained_at: '2013-13-01T00:00:00Z'"),
    (
        {"training": {**TRAINING, "data": [{"uri": "x", "rows": -1}]}},
        r"training.data\[0\].rows: -1 .* of at least 0",
    ),
    (
        {"training": {**TRAINING, "data": [{"uri": "x", "sha256": "1"}]}},
        r"training.data\[0\].sha256: '1' .* a sha256",
    ),
    (
        {"training": {**TRAINING, "data": [{"uri": "x", "to": "2013-99-01T00:00:00Z"}]}},
        r"training.data\[0\].to: '2013-99",
    ),
    ({"training": {**TRAINING, "records": "r.avro"}}, "training.records: 'r.avro' is not allowed"),
    ({"golden": {"file": "g"}}, "golden.file: 'g' is not allowed; expected: a path that `files` lists"),
    ({"golden": {"file": "g", "tolerance": -1}}, "golden.tolerance: -1 .* of at least 0"),
    ({"quality": {"auc": "good"}}, "quality.auc: 'good' is not allowed"),
    ({"format": 0}, "format: 0 is not allowed; expected: the manifest's format"),
    ({"format": "2"}, "format: '2' is not allowed; expected: the manifest's format"),
    ({"libraries": {"numpy": 2.4}}, "libraries.numpy: 2.4 is not allowed; expected: a version as a text"),
    ({"golden": {"file": "g", "by": "me"}}, "golden.by: 'me' is not allowed; allowed: publish, trainer"),
    ({"output": {"kind": "class", "decisions": {"positive": "a"}}}, "output.decisions.negative: missing"),
    ({"reasons": {"dealy": {"code": "R1"}}}, "reasons.dealy: unknown key; expected: names of inputs"),
    ({"reasons": {"delay": {"text": "late"}}}, "reasons.delay.text: unknown key"),
    ({"importance": {"delay": "high"}}, "importance.delay: 'high' is not allowed"),
    ({"explainer": {"file": "e"}}, "explainer.file: 'e' is not allowed; expected: a path that `files` lists"),
    ({"trust": [3]}, r"trust\[0\]: 3 is not allowed; expected: the full name of a type"),
    ({"linear": None}, "linear: missing"),
    ({"scorer": "sklearn", "linear": LINEAR}, "linear: given to scorer 'sklearn'"),
    ({"linear": {**LINEAR, "coefficients": {"delay": 1}}}, "linear.coefficients.distance: missing"),
    ({"linear": {**LINEAR, "categories": {}}}, "linear.categories.carrier: missing"),
    ({"linear": {**LINEAR, "means": {"carrier": 1}}}, "linear.means.carrier: 1 is not allowed"),
    ({"linear": {**LINEAR, "scales": {"delay": 0}}}, "linear.scales.delay: 0 .* greater than 0"),
]


@pytest.mark.parametrize(("changes", "message"), INVALID, ids=[message[:40] for _, message in INVALID])
def test_invalid_manifest_names_path_value_and_allowed(changes: dict[str, Any], message: str) -> None:
    files = changes.pop("files", {})
    with pytest.raises(InvalidManifest, match=f"^{message}") as caught:
        parse_manifest(json.dumps({"files": files, **document(**changes)}).encode())
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_nullable_input_of_a_linear_model_needs_a_value_for_null() -> None:
    inputs = [{"name": "x", "type": "number", "nullable": True}]
    terms = {"intercept": 0, "coefficients": {"x": 1}}
    with pytest.raises(InvalidManifest, match=r"inputs\[0\].nullable"):
        parse_manifest(raw(inputs=inputs, linear=terms))
    assert parse_manifest(raw(inputs=inputs, linear={**terms, "means": {"x": 2}})).inputs[0].nullable


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"3",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"model": 1, "model": 2}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b" " * (9 * 1024 * 1024),
    ],
    ids=[
        "empty",
        "cut",
        "latin",
        "bom",
        "number",
        "nan",
        "inf",
        "digits",
        "twice",
        "surrogate",
        "deep",
        "large",
    ],
)
def test_hostile_bytes_are_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(InvalidManifest) as caught:
        parse_manifest(content)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


PATHS = ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a/", "c:/x", "a\\..\\b", "a\x00b", "a\nb", " a"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["files", "golden", "profile", "records"])
def test_path_that_leaves_the_bundle_is_refused(path: str, key: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "files": {"files": {path: SHA}},
        "golden": {"golden": {"file": path}},
        "profile": {"profile": path},
        "records": {"training": {**TRAINING, "records": path}},
    }
    with pytest.raises(PathOutside) as caught:
        parse_manifest(raw(**changes[key]))
    assert caught.value.reason == "path_outside"
