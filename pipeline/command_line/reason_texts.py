"""The values of `--reasons` and `--decisions`: in which words a bundle speaks of what it decides, and why."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from models.bundles.manifest import Decisions, Manifest, Reason
from models.publishing.description import CannotPublish
from pipeline.spec.strict_yaml import read_yaml, yaml_problem
from schemas.expectations import QUOTE, did_you_mean, wants

_ALLOWED = "a YAML mapping of input to {code, positive, negative, suppress}"
_TEXTS = re.compile(r"(positive|negative)=(.+),(positive|negative)=(.+)")


def read_reason_texts(path: Path) -> dict[str, Any]:
    """The mapping of a `--reasons` file; its texts are checked with the manifest.

    Raises:
        CannotPublish: the file cannot be read, or is no mapping of mappings.
    """
    try:
        found = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotPublish(f"--reasons {path} cannot be read: {error.strerror}; {wants(_ALLOWED)}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CannotPublish(f"--reasons {path} is not YAML: {yaml_problem(error)}; {wants(_ALLOWED)}") from None
    if not isinstance(found, dict) or not found:
        raise CannotPublish(f"--reasons {path} is not a mapping; {wants(_ALLOWED)}")
    return check_reason_texts(found, f"--reasons {path}")


def check_reason_texts(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The same mapping where each input has known keys with texts. Raises `CannotPublish`."""
    keys = {"code": str, "positive": str, "negative": str, "suppress": bool}
    for name, texts in found.items():
        if not isinstance(texts, Mapping) or not isinstance(name, str):
            raise CannotPublish(f"{where}: {name}: {texts!r} is not allowed; {wants(_ALLOWED)}")
        for key, value in texts.items():
            if key not in keys:
                hint = did_you_mean(str(key), keys, QUOTE)
                raise CannotPublish(f"{where}: {name}.{key}: unknown key; allowed: {', '.join(keys)}{hint}")
            if value is not None and not isinstance(value, keys[key]):
                wanted = "true or false" if key == "suppress" else "a text, in quotes where it looks like a number"
                raise CannotPublish(f"{where}: {name}.{key}: {value!r} is not allowed; {wants(wanted)}")
    return {name: dict(texts) for name, texts in found.items()}


def decision_texts(text: str) -> Decisions:
    """The value of `--decisions`: both texts, in either order."""
    found = _TEXTS.fullmatch(text)
    given = {} if found is None else {found[1]: found[2], found[3]: found[4]}
    if len(given) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected: positive=TEXT,negative=TEXT")
    return Decisions(given["positive"], given["negative"])


def coverage_of(manifest: Manifest) -> dict[str, Any]:
    """How many of a bundle's inputs have texts for reasons in both directions, and which have not; what is suppressed
    needs none."""
    known = {entry.name: manifest.reasons.get(entry.name, Reason()) for entry in manifest.inputs}
    suppressed = [name for name, words in known.items() if words.suppress]
    worded = [name for name, words in known.items() if words.positive and words.negative and not words.suppress]
    missing = [name for name in known if name not in (*suppressed, *worded)]
    return {"inputs": len(known), "with_texts": len(worded), "suppressed": suppressed, "missing": missing}
