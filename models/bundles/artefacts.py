"""Which versions of which libraries wrote a model, read from its files alone: no library is used, nothing is loaded.

A file may state anything; what it does not state is not guessed.
"""

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

Versions: TypeAlias = dict[str, str]
Reader: TypeAlias = Callable[[Path], Versions]

_ENDS = 4096
_MOST_BYTES = 512 * 1024 * 1024
_VERSION = r"(\d+(?:\.\d+)+(?:\.?(?:a|b|rc|dev|post)\d+)?)"
# In skops' schema a text is a node whose content is JSON again; in a pickle each text is preceded by its length.
_IN_SKOPS = re.compile(rb'"_sklearn_version"\s*:\s*\{[^{}]*?"content"\s*:\s*"\\"' + _VERSION.encode() + rb'\\""')
_IN_PICKLE = re.compile(rb"_sklearn_version.{1,12}?" + _VERSION.encode(), re.DOTALL)
_XGBOOST_JSON = re.compile(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]')
_XGBOOST_UBJ = re.compile(rb"version\[#L\0{7}\x03((?:[iU].|I..|l.{4}|L.{8}){3})", re.DOTALL)
_UBJ_BYTES = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}
_LIGHTGBM = re.compile(rb"^version=v(\d+)", re.MULTILINE)
_MLFLOW = {
    "sklearn": {"sklearn_version": "scikit-learn"},
    "xgboost": {"xgb_version": "xgboost"},
    "lightgbm": {"lgb_version": "lightgbm"},
    "onnx": {"onnx_version": "onnx"},
    "tensorflow": {"keras_version": "keras"},
    "keras": {"keras_version": "keras"},
}


def read_versions(kind: str, files: Sequence[Path]) -> Versions:
    """The libraries that wrote a model's files, according to the files: name → version.

    Args:
        kind: the scorer's kind; a kind without a reader gives nothing.
        files: the model's own files.

    A file that is damaged or of another form gives nothing; where two disagree, the older version counts.
    """
    found: Versions = {}
    for file in files:
        for name, version in _said_by(kind, file).items():
            found[name] = min(found.get(name, version), version, key=numbers_of)
    return found


def numbers_of(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `1.3.2rc1` is (1, 3, 2).

    >>> numbers_of("1.3.2rc1"), numbers_of("unknown")
    ((1, 3, 2), ())
    """
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _said_by(kind: str, file: Path) -> Versions:
    for suffix, reader in READERS.get(kind, {}).items():
        if file.name == suffix or file.suffix == suffix:
            try:
                return reader(file)
            except Exception:  # whatever its parser raises
                return {}  # a damaged file will not load; the error is reported there
    return {}


def _skops(path: Path) -> Versions:
    with zipfile.ZipFile(path) as archive:
        schema = archive.read("schema.json") if archive.getinfo("schema.json").file_size <= _MOST_BYTES else b""
    found = {"scikit-learn": _oldest(_IN_SKOPS.findall(schema))}
    skops = re.search(rb'"_skops_version"\s*:\s*"([^"\\]+)"', schema)
    return _known(found | {"skops": skops[1].decode() if skops else None})


def _pickle(path: Path) -> Versions:
    """A compressed pickle gives nothing; no pickle is loaded here."""
    raw = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    return _known({"scikit-learn": _oldest(_IN_PICKLE.findall(raw))})


def _oldest(versions: Sequence[bytes]) -> str | None:
    return min((each.decode() for each in versions), key=numbers_of, default=None)


def _xgboost_json(path: Path) -> Versions:
    found = _XGBOOST_JSON.search(_ends_of(path))
    return _known({"xgboost": b".".join(found.groups()).decode() if found else None})


def _xgboost_ubj(path: Path) -> Versions:
    found = _XGBOOST_UBJ.search(_ends_of(path))
    return _known({"xgboost": ".".join(str(number) for number in _ubj_integers(found[1])) if found else None})


def _ubj_integers(raw: bytes) -> Iterator[int]:
    while raw:
        size = _UBJ_BYTES[raw[:1]]
        yield int.from_bytes(raw[1 : 1 + size], "big")
        raw = raw[1 + size :]


def _lightgbm(path: Path) -> Versions:
    """LightGBM writes the version of its format, which is its own major version."""
    found = _LIGHTGBM.search(_ends_of(path))
    return _known({"lightgbm": found[1].decode() if found else None})


def _onnx(path: Path) -> Versions:
    """Opsets by domain, and the producer: fields 8, 2 and 3 of ModelProto."""
    found: Versions = {}
    producer: dict[int, str] = {}
    for field, value in _fields(path.read_bytes()):
        if field in (2, 3) and isinstance(value, bytes):
            producer[field] = value.decode()
        if field == 8 and isinstance(value, bytes):
            opset = dict(_fields(value))
            domain = opset.get(1, b"")
            named = domain.decode() if isinstance(domain, bytes) else ""
            found[f"opset {named or 'ai.onnx'}"] = str(opset.get(2, ""))
    return _known(found | ({producer[2]: producer.get(3)} if producer.get(2) else {}))


def _saved_model(path: Path) -> Versions:
    """SavedModel.meta_graphs[0].meta_info_def.tensorflow_version: fields 2, 1 and 5."""
    raw: Any = path.read_bytes()
    for field in (2, 1, 5):
        raw = next((value for number, value in _fields(raw) if number == field), b"")
    return _known({"tensorflow": raw.decode()})


def _fields(raw: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a protocol buffer's message: number, and bytes or a whole number. Damage is a ValueError."""
    offset = 0
    while offset < len(raw):
        key, offset = _varint(raw, offset)
        wire = key & 7
        if wire == 0:
            value, offset = _varint(raw, offset)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire)
        if size is None:
            if wire != 2:
                raise ValueError(f"wire type {wire} is not allowed; allowed: 0, 1, 2, 5")
            size, offset = _varint(raw, offset)
        if offset + size > len(raw):
            raise ValueError("the message is cut off")
        yield key >> 3, raw[offset : offset + size]
        offset += size


def _varint(raw: bytes, offset: int) -> tuple[int, int]:
    value, shift = 0, 0
    while offset < len(raw) and shift < 70:
        byte = raw[offset]
        value, shift, offset = value | (byte & 127) << shift, shift + 7, offset + 1
        if byte < 128:
            return value, offset
    raise ValueError("the message is cut off")


def _pmml(path: Path) -> Versions:
    """PMML's version, and the application that wrote the document. No document type, whose entities name files."""
    raw = path.read_bytes()
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        return {}
    root = ElementTree.fromstring(raw)
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    application = root.find(f"{space}Header/{space}Application")
    named = {} if application is None else {application.get("name", ""): application.get("version")}
    return _known({"PMML": root.get("version")} | named)


def _mlmodel(path: Path) -> Versions:
    import yaml

    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: dict[str, str | None] = {"mlflow": document.get("mlflow_version")}
    for flavour, said in document.get("flavors", {}).items():
        for key, library in _MLFLOW.get(flavour, {}).items():
            found[library] = said.get(key)
    return _known(found)


def _ends_of(path: Path) -> bytes:
    """The first and the last bytes of a file."""
    with path.open("rb") as file:
        head = file.read(_ENDS)
        file.seek(max(path.stat().st_size - _ENDS, 0))
        return head + b"\n" + file.read(_ENDS)


def _known(found: Mapping[str, str | None]) -> Versions:
    """The stated versions, as texts that a manifest may hold."""
    texts = {name: str(version) for name, version in found.items() if name and version}
    return {name: version for name, version in texts.items() if len(name) <= 128 and len(version) <= 128}


_SKLEARN: Mapping[str, Reader] = {".skops": _skops, ".pkl": _pickle, ".pickle": _pickle, ".joblib": _pickle}
_XGBOOST: Mapping[str, Reader] = {".ubj": _xgboost_ubj, ".xgb": _xgboost_ubj, ".json": _xgboost_json}
_LIGHT: Mapping[str, Reader] = {".txt": _lightgbm, ".lgb": _lightgbm, ".model": _lightgbm}
_ONNX: Mapping[str, Reader] = {".onnx": _onnx}
_TENSORFLOW: Mapping[str, Reader] = {"saved_model.pb": _saved_model}
_FOLDER: Mapping[str, Reader] = {"MLmodel": _mlmodel, ".lgb": _lightgbm}
READERS: Mapping[str, Mapping[str, Reader]] = {
    "sklearn": _SKLEARN,
    "xgboost": _XGBOOST,
    "lightgbm": _LIGHT,
    "onnx": _ONNX,
    "tensorflow": _TENSORFLOW,
    "pmml": {".pmml": _pmml},
    "mlflow": {**_FOLDER, **_SKLEARN, ".ubj": _xgboost_ubj, ".xgb": _xgboost_ubj, **_ONNX, **_TENSORFLOW},
}
"""Kind → the end or the whole of a file's name → its reader."""
