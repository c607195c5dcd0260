"""What a PMML document says of its fields: the data dictionary, as far as the model's mining schema uses it."""

from pathlib import Path
from xml.etree import ElementTree

from models.manifest import InputType, OutputKind
from models.publishing.description import CannotPublish, Description, FoundInput

_TYPES: dict[str, InputType] = {
    "double": "number",
    "float": "number",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
}
_OUTPUTS: dict[str, OutputKind] = {"regression": "regression", "classification": "probability"}


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
        raise CannotPublish(f"{path} holds no model with a MiningSchema; allowed: a PMML document with one model")
    active = [each.get("name", "") for each in schema if each.get("usageType", "active") == "active"]
    inputs = tuple(FoundInput(name, _type(name, types.get(name, ""))) for name in active)
    return Description(inputs, output=_OUTPUTS.get(model.get("functionName", "")))


def _type(name: str, found: str) -> InputType:
    if found not in _TYPES:
        raise CannotPublish(f"field {name!r} has the data type {found!r}; allowed: {', '.join(_TYPES)}")
    return _TYPES[found]
