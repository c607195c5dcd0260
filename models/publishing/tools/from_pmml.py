"""What a PMML document says of its fields: the data dictionary, as far as the model's mining schema uses it."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from models.bundles.manifest import OutputKind
from models.publishing.description import CannotPublish, Description, FoundInput
from schemas.columns import ColumnKind

_TYPES: dict[str, ColumnKind] = {
    "double": "number",
    "float": "number",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
}
_OUTPUTS: dict[str, OutputKind] = {"regression": "regression", "classification": "probability"}
# Elements that concern one class, and the attribute that names it.
_SAY_CLASSES = (("ScoreDistribution", "value"), ("RegressionTable", "targetCategory"), ("OutputField", "value"))


def describe(path: Path, allow_pickle: bool) -> Description:
    """The active fields of the outermost model (usage type active, or none given), with the dictionary's types."""
    root = ElementTree.parse(path).getroot()
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    types = {each.get("name"): each.get("dataType", "") for each in root.iter(f"{space}DataField")}
    for model in root:
        schema = model.find(f"{space}MiningSchema")
        if schema is not None:
            break
    else:
        raise CannotPublish(f"{path} holds no model with a MiningSchema; expected: a PMML document with one model")
    active = [each.get("name", "") for each in schema if each.get("usageType", "active") == "active"]
    inputs = tuple(FoundInput(name, _type(name, types.get(name, ""))) for name in active)
    output = _OUTPUTS.get(model.get("functionName", ""))
    labels = () if output == "regression" else _labels(root, schema, space, types)
    return Description(inputs, output=output, labels=labels)


def _labels(root: Element, schema: Element, space: str, types: Mapping[str | None, str]) -> tuple[str, ...]:
    """The values of the target, or else the class names that appear anywhere in the model."""
    targets = {each.get("name") for each in schema if each.get("usageType") in ("target", "predicted")}
    values = [
        value.get("value", "")
        for field in root.iter(f"{space}DataField")
        if field.get("name") in targets
        for value in field.iter(f"{space}Value")
        if value.get("property", "valid") == "valid"
    ]
    for tag, key in () if values else _SAY_CLASSES:
        values += [each.get(key, "") for each in root.iter(f"{space}{tag}")]
    floats = any(types.get(name) in ("double", "float") for name in targets)  # whole ones: labels without a fraction
    return tuple(dict.fromkeys(value.removesuffix(".0") if floats else value for value in values if value))


def _type(name: str, found: str) -> ColumnKind:
    if found not in _TYPES:
        raise CannotPublish(f"field {name!r} has the data type {found!r}; allowed: {', '.join(_TYPES)}")
    return _TYPES[found]
