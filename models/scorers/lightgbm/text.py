"""The text of a LightGBM model, read before the library reads it: whether it is complete, and its categories by
feature."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models.bundles.manifest import Input, Manifest
from models.scorers.base import WillNotLoad
from models.scorers.categories import stated_categories

_SIZES = re.compile(rb"^tree_sizes=([\d ]+)\n", re.MULTILINE)
_CATEGORICAL = re.compile(r"^\[categorical_feature: ([\d,]*)\]$", re.MULTILINE)
_LISTS = "pandas_categorical:"
_RANGE = re.compile(r"\[(\d+):(\d+)\]")


class ModelText(NamedTuple):
    """The content of the text.

    Attributes:
        text: the model without the sizes of its trees, as `Booster(model_str=…)` parses it safely.
        header: the lines before the first tree, by key.
        features: the names of the features, and what each was in training (`feature_infos`), in their order.
        categorical: the indexes of the features that splits read as categories.
        lists: the pandas categories of each column that had some, in the order of the columns.
    """

    text: str
    header: Mapping[str, str]
    features: Sequence[tuple[str, str]]
    categorical: frozenset[int]
    lists: Sequence[Sequence[Any]]


def read_model_text(raw: bytes) -> ModelText:
    """Read the text, which must be complete.

    Raises:
        WillNotLoad: it is not complete, or not the text of a model.
    """
    text = _whole(raw)
    lines = text.partition("\n\n")[0].splitlines()
    header = {key: value for key, _, value in (line.partition("=") for line in lines)}
    names, infos = header.get("feature_names", "").split(" "), header.get("feature_infos", "").split(" ")
    if len(names) != len(infos):
        raise WillNotLoad(f"lightgbm: {len(names)} feature_names and {len(infos)} feature_infos; expected: as many")
    stated = _CATEGORICAL.search(text)
    if stated is None:  # written by another library
        indexes = {index for index, info in enumerate(infos) if info != "none" and not info.startswith("[")}
    else:
        indexes = {int(index) for index in stated[1].split(",") if index}
    return ModelText(text, header, list(zip(names, infos, strict=True)), frozenset(indexes), _lists(text))


def category_lists(model: ModelText, inputs: Sequence[Input] | None) -> dict[int, Sequence[Any]] | None:
    """The list of each feature that had one, by its index; `inputs` in the order of the features, None if unknown.

    The text has the lists without stating their features. They belong to the categorical ones, unless training named
    some that have no list (`categorical_feature`), or had ordered categories, which count as numbers. None where
    several assignments fit the features in the text and the types of the inputs.
    """
    if len(model.lists) == len(model.categorical):
        return dict(zip(sorted(model.categorical), model.lists, strict=True))
    for held in (model.categorical, frozenset[int]()):  # features that must have a list
        found = _assigned(model, inputs, held)
        if len(found) == 1:
            return found[0]
        if found:
            return None
    return None


def categories_by_input(model: ModelText, manifest: Manifest, names: Sequence[str]) -> Mapping[str, Sequence[Any]]:
    """The categories of each input that has some; `names` are the inputs in the order of the features.

    Raises:
        WillNotLoad: neither the text nor `parameters.categories` states which list belongs to which feature.
    """
    stated = stated_categories(manifest)
    if stated:
        return stated
    by_name = {entry.name: entry for entry in manifest.inputs}
    found = category_lists(model, [by_name[name] for name in names])
    if found is None:
        raise WillNotLoad(
            f"lightgbm: of the {len(names)} features {len(model.lists)} have categories of pandas, and neither the "
            "text nor the inputs' types say which; expected: parameter categories with {input: [category, …]} of all"
        )
    return {names[index]: values for index, values in found.items()}


def _assigned(model: ModelText, inputs: Sequence[Input] | None, held: frozenset[int]) -> list[dict[int, Sequence[Any]]]:
    """Up to two ways to assign the lists, in their order, to features that fit and include all of `held`."""
    features, lists = len(model.features), len(model.lists)
    # ways[index][number]: in how many ways the lists from `number` on can be assigned to features from `index` on; up
    # to 2.
    ways = [[0] * (lists + 1) for _ in range(features + 1)]
    ways[features][lists] = 1
    for index in reversed(range(features)):
        for number in range(lists + 1):
            without = 0 if index in held else ways[index + 1][number]
            takes = number < lists and _fits(model, inputs, index, model.lists[number])
            ways[index][number] = min(2, without + (ways[index + 1][number + 1] if takes else 0))
    if ways[0][0] != 1:
        return [{}] * ways[0][0]
    found: dict[int, Sequence[Any]] = {}
    for index in range(features):
        number = len(found)
        if index in held or not ways[index + 1][number]:
            found[index] = model.lists[number]
    return [found]


def _fits(model: ModelText, inputs: Sequence[Input] | None, index: int, values: Sequence[Any]) -> bool:
    """Whether a feature can have had these categories: its codes are among them, and the input is of their type."""
    info = model.features[index][1]
    if index not in model.categorical and info != "none":
        found = _RANGE.fullmatch(info)
        if found is None or int(found[2]) >= len(values):
            return False
    texts = any(isinstance(value, str) for value in values)
    return inputs is None or not values or texts == (inputs[index].type == "string")


def _lists(text: str) -> Sequence[Sequence[Any]]:
    last = text.rstrip("\n").rpartition("\n")[2]
    lists = json.loads(last.removeprefix(_LISTS)) if last.startswith(_LISTS) else None
    if lists is not None and not (isinstance(lists, list) and all(isinstance(each, list) for each in lists)):
        raise WillNotLoad("lightgbm: pandas_categorical is not a list of lists; expected: an unchanged file")
    return lists or []


def _whole(raw: bytes) -> str:
    """The model's text without the sizes of its trees, which must be correct.

    Where LightGBM knows the sizes it parses the trees in an OpenMP region, and an error there ends the process (4.7.0:
    a file cut off anywhere). Without sizes it parses one tree after the other and raises; but then it reads a file that
    ends early as a smaller model. So the sizes are checked here and removed.
    """
    sizes = _SIZES.search(raw)
    if sizes is None or not raw.startswith(b"tree\n"):
        raise WillNotLoad("lightgbm: no model text; expected: what Booster.save_model writes")
    index = raw.find(b"Tree=0\n")
    for number, size in enumerate(sizes[1].split()):
        if index < 0 or not raw.startswith(b"Tree=%d\n" % number, index):
            raise WillNotLoad(f"lightgbm: tree {number} is not where tree_sizes has it; expected: an unchanged file")
        index += int(size)
    if not raw.startswith(b"end of trees", index):
        raise WillNotLoad("lightgbm: the text ends before 'end of trees'; expected: a complete file")
    return (raw[: sizes.start()] + raw[sizes.end() :]).decode("utf-8")
