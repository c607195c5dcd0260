"""Job files: YAML read strictly, and `--set` applied to it."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from models.errors import one_line
from pipeline.spec.environment import JOB, said_as
from pipeline.spec.expansion import FILE_SCHEMES, check_bucket, scheme_of
from pipeline.spec.remote import check_answers
from pipeline.spec.strict_yaml import MOST_CHARACTERS, read_yaml, yaml_problem
from schemas.expectations import wants
from schemas.problems import Problems
from schemas.validation import Absent, SpecError

_YAML = ("{", "[", '"', "'")
EMBEDDED = Path(__file__).parents[1] / "jobs" / "flights.yaml"


def read_document(source: Path | str | Mapping[str, Any] | None) -> dict[str, Any]:
    """The YAML document of a job file, or of the embedded flights job for None; a text may be a URI, such as gs://. A
    mapping is such a document itself, and is copied.

    Raises:
        SpecError: the file is absent, no YAML or no mapping, or has a key twice, or is too long.
    """
    if isinstance(source, Mapping):
        return deepcopy(dict(source))
    option, source = said_as("--job", JOB, source), source or EMBEDDED
    try:
        document = read_yaml(_text_of(source))
    except OSError as error:
        said = error.strerror or one_line(error)
        raise SpecError(option, Absent(f"{str(source)!r}: {said}"), "a readable YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        found = Absent(f"{str(source)!r} is not YAML: {yaml_problem(error)}")
        raise SpecError(option, found, "a YAML file") from None
    if not isinstance(document, dict):
        found = Absent(f"{str(source)!r} holds {'nothing' if document is None else repr(document)[:80]}")
        raise SpecError(option, found, "a mapping with the keys job, events, features, model")
    return document


def _text_of(source: Path | str) -> str:
    """The text of a file. Raises `SpecError` for a scheme that is not read, `OSError` where its library is absent."""
    if "://" not in str(source):
        with open(source, "rb") as file:
            return _decoded(file.read(MOST_CHARACTERS + 1), source)
    if scheme_of(str(source)) not in FILE_SCHEMES:
        allowed = f"a path or a URI with one of the schemes {', '.join(FILE_SCHEMES)}"
        raise SpecError("--job", str(source), allowed)
    # Beam takes seconds to import: only a spec in a bucket needs it.
    from apache_beam.io.filesystems import FileSystems

    uri = str(source).removeprefix("file://")
    try:
        check_bucket(uri, "--job")
        check_answers(uri)
        with FileSystems.open(uri) as stream:
            return _decoded(stream.read(MOST_CHARACTERS + 1), source)
    except (UnicodeDecodeError, SpecError):
        raise
    except ValueError as error:  # Beam's error for an unknown scheme, and for a library that is not installed
        raise OSError(one_line(error)) from None


def _decoded(raw: bytes, source: Path | str) -> str:
    if len(raw) > MOST_CHARACTERS:
        raise SpecError("--job", Absent(f"{str(source)!r} has more than {MOST_CHARACTERS} bytes"), "a smaller job spec")
    return raw.decode("utf-8")


def settings_of(mapping: str) -> list[str]:
    """The mapping of `--settings` as settings of `--set`, such as `{model.poll: 30s}` as `model.poll=30s`.

    Raises:
        SpecError: it is not a YAML mapping.
    """
    try:
        document = read_yaml(mapping)
    except (yaml.YAMLError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SpecError("--settings", mapping, "a YAML mapping of paths to values, such as {model.poll: 30s}")
    # JSON is YAML: what was read as a text stays one.
    return [f"{path}={json.dumps(value)}" for path, value in document.items()]


def apply_settings(document: dict[str, Any], settings: Sequence[str]) -> None:
    """Applies `--set path=value` in place: dotted path, list indexes as `[i]`, the value as `_value` reads it.

    Raises:
        SpecError: settings without `=`, or paths through something that is not a mapping or list; all are named.

    >>> document = {"model": {"poll": "30s"}, "features": [{"size": "1h"}]}
    >>> apply_settings(document, ["model.poll=1m", "features[0].size=2h"])
    >>> document
    {'model': {'poll': '1m'}, 'features': [{'size': '2h'}]}
    """
    problems = Problems()
    for setting in settings:
        with problems.gathered():
            path, separator, text = setting.partition("=")
            if not separator or not path:
                raise SpecError("--set", setting, "path=value, such as model.poll=30s")
            _put(document, path, _value(text, setting))
    problems.check()


def _value(text: str, setting: str) -> Any:
    """A text stays as it is written; numbers, `true`, `null`, and values in brackets or quotes are read as YAML.

    So a URI that ends with a colon is not a mapping, and a path with ` #` in it is not cut there.
    """
    if not text.strip():
        return ""
    try:
        value = read_yaml(text)
    except (yaml.YAMLError, RecursionError):
        if text.lstrip().startswith(_YAML):
            raise SpecError("--set", setting, "a value that is YAML") from None
        return text
    except SpecError as error:
        where = f" {error.path}" if error.path else ""
        said = str(error).removesuffix(f"; {wants(error.allowed)}").removeprefix(f"{error.path or 'document'}: ")
        raise SpecError("--set", Absent(f"{setting[:60]!r}{where}: {said}"), error.allowed) from None
    plain = not text.lstrip().startswith(_YAML) and isinstance(value, str | list | dict)
    return text.strip() if plain else value


def _put(document: Any, path: str, value: Any) -> None:
    parts = _parts(path)
    node = document
    for part, following in pairwise(parts):
        node = _step(node, part, path, [] if isinstance(following, int) else {})
    last = parts[-1]
    in_mapping = isinstance(node, dict) and isinstance(last, str)
    in_list = isinstance(node, list) and isinstance(last, int) and last < len(node)
    if not (in_mapping or in_list):
        raise SpecError("--set", path, "a path into the job spec")
    node[last] = value


def _parts(path: str) -> list[str | int]:
    """`features[0].size` as features, 0, size."""
    parts: list[str | int] = []
    for piece in path.split("."):
        name, *indexes = piece.replace("]", "").split("[")
        if not (name or indexes) or not all(index.isdecimal() for index in indexes):
            raise SpecError("--set", path, "a dotted path with list indexes as numbers, such as features[0].size")
        parts += [*([name] if name else []), *(int(index) for index in indexes)]
    return parts


def _step(node: Any, part: str | int, path: str, empty: Any) -> Any:
    if isinstance(node, dict) and isinstance(part, str):
        if node.get(part) is None:
            node[part] = empty
        return node[part]
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        return node[part]
    raise SpecError("--set", path, "a path into the job spec")
