"""Bundles that raise something other than a refusal during admission, each in a different way."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.bundles.manifest import MANIFEST
from models.bundles.signing import sign_folder
from tests.models.bundle_folders import document, write_bundle

DELAY: list[dict[str, Any]] = [{"name": "delay", "type": "number"}]
TEXT: list[dict[str, Any]] = [{"name": "carrier", "type": "string"}]
LOW: dict[str, Any] = {
    "kind": "numeric", "name": "delay", "edges": [1.0], "counts": [2, 1], "nulls": 0, "n": 3,
    "min": 0.0, "max": 2.0, "mean": 1.0,
}  # fmt: skip
OFTEN: dict[str, Any] = {
    "kind": "categorical", "name": "carrier", "type": "string", "values": ["AA"], "counts": [1], "other": 0,
    "nulls": 0, "n": 1,
}  # fmt: skip


def small(**changes: Any) -> dict[str, Any]:
    """The document of a linear model of one number."""
    return document(inputs=DELAY, linear={"intercept": 0, "coefficients": {"delay": 1}}, **changes)


def with_golden_line(line: str | bytes, texts: bool = False) -> Callable[[Path], None]:
    """A bundle whose golden records are this one line."""

    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "golden.jsonl").write_bytes(line if isinstance(line, bytes) else line.encode())
        terms = {"intercept": 0, "coefficients": {}, "categories": {"carrier": {}}}
        base = document(inputs=TEXT, linear=terms) if texts else small()
        write_bundle(folder, {**base, "golden": {"file": "golden.jsonl"}})

    return build


def with_profile(content: bytes | dict[str, Any] | list[dict[str, Any]]) -> Callable[[Path], None]:
    """A bundle whose profile has this content: the bytes, or a column, or columns."""

    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        columns = [content] if isinstance(content, dict) else content
        raw = content if isinstance(content, bytes) else json.dumps({"format": 1, "columns": columns}).encode()
        (folder / "profile.json").write_bytes(raw)
        write_bundle(folder, small(profile="profile.json"))

    return build


def with_path(path: str) -> Callable[[Path], None]:
    """A manifest that names a file by this path, which no disk holds."""

    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(json.dumps({**small(), "files": {path: "a" * 64}}))

    return build


def with_parameters(raw: str) -> Callable[[Path], None]:
    """A manifest whose training parameters are this JSON."""

    def build(folder: Path) -> None:
        folder.mkdir(parents=True)
        text = json.dumps({**small(), "files": {}})
        (folder / MANIFEST).write_text(text.replace('"trained_at"', f'"parameters": {{"x": {raw}}}, "trained_at"'))

    return build


def with_signature(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A bundle that was signed by the trusted key; then its signature was changed."""

    def build(folder: Path) -> None:
        write_bundle(folder, small())
        sign_folder(folder, folder.parent / "trusted" / "private.pem")
        envelope = json.loads((folder / "model.sig").read_bytes())
        change(envelope)
        (folder / "model.sig").write_text(json.dumps(envelope))

    return build


def _payload(statement: object) -> Callable[[dict[str, Any]], None]:
    raw = base64.b64encode(json.dumps(statement).encode()).decode()
    return lambda envelope: envelope["dsseEnvelope"].update(payload=raw)


MANY = [{**LOW, "name": f"c{number:06d}"} for number in range(5000)]
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "golden score of 401 digits": (with_golden_line('{"inputs": {"delay": 1}, "score": 1' + "0" * 400 + "}"),
                                   "golden_mismatch"),
    "golden score of 5000 digits": (with_golden_line('{"inputs": {"delay": 1}, "score": -1' + "0" * 5000 + "}"),
                                    "golden_mismatch"),
    "golden input of 401 digits": (with_golden_line('{"inputs": {"delay": 1' + "0" * 400 + '}, "score": 1}'),
                                   "golden_mismatch"),
    "lone surrogate in a golden text": (with_golden_line('{"inputs": {"carrier": "\\ud800"}, "score": 0}', True),
                                        "golden_mismatch"),
    "lone surrogate in a golden name": (with_golden_line('{"inputs": {"\\udfff": 1}, "score": 1}'), "golden_mismatch"),
    "golden inputs nested 100,000 deep": (with_golden_line('{"inputs": ' + "[" * 100_000), "golden_mismatch"),
    "golden text of a NUL and bytes that are not UTF-8": (with_golden_line(b'{"inputs": {"delay": "\0\xff"}}'),
                                                       "golden_mismatch"),
    "garbage for a profile": (with_profile(b"\x89PNG\r\n"), "will_not_load"),
    "empty profile": (with_profile(b""), "will_not_load"),
    "profile without a column": (with_profile([]), "will_not_load"),
    "profile with a lone surrogate": (with_profile({**OFTEN, "values": ["\udfff"]}), "will_not_load"),
    "profile named by a lone surrogate": (with_profile({**OFTEN, "name": "\ud800"}), "will_not_load"),
    "profile of counts that do not add up": (with_profile({**LOW, "n": 4}), "will_not_load"),
    "profile of falling edges": (with_profile({**LOW, "edges": [2.0, 1.0], "counts": [1, 1, 1]}), "will_not_load"),
    "profile with an infinite edge": (with_profile(json.dumps({"format": 1, "columns": [LOW]}).replace(
        "[1.0]", "[1e999]").encode()), "will_not_load"),
    "profile with NaN": (with_profile({**LOW, "mean": float("nan")}), "will_not_load"),
    "profile of texts for counts": (with_profile({**LOW, "counts": ["2", "1"]}), "will_not_load"),
    "profile of a later format": (with_profile(b'{"format": 7, "columns": []}'), "will_not_load"),
    "profile of 5,000 columns": (with_profile(MANY), "will_not_load"),
    "profile nested 100,000 deep": (with_profile(b"[" * 100_000), "will_not_load"),
    "file below manifest.json": (with_path("manifest.json/x"), "invalid_manifest"),
    "file below model.sig": (with_path("model.sig/a/b"), "invalid_manifest"),
    "file name of 256 bytes": (with_path("a" * 256), "invalid_manifest"),
    "folder name of 400 bytes in 200 letters": (with_path("é" * 200 + "/x"), "invalid_manifest"),
    "parameters nested 400 deep": (with_parameters('{"x": ' * 400 + "1" + "}" * 400), "invalid_manifest"),
    "parameters nested 900 deep": (with_parameters("[" * 900 + "]" * 900), "invalid_manifest"),
    "signature with a payload that is not ASCII": (
        with_signature(lambda envelope: envelope["dsseEnvelope"].update(payload="é")), "bad_signature"),
    "signature with a number for a payload": (
        with_signature(lambda envelope: envelope["dsseEnvelope"].update(payload=7)), "bad_signature"),
    "signature of a statement that is a list": (with_signature(_payload([1])), "bad_signature"),
    "signature of resources by unhashable names": (
        with_signature(_payload({"predicate": {"resources": [{"name": [], "digest": "x"}]}})), "bad_signature"),
}  # fmt: skip
