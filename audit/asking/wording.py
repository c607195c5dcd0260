"""Reasons of a score in words: the texts that the manifest gives to contributions of its inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.asking.answers import plain
from models.bundles.manifest import Manifest, Reason

_UNSAID = Reason()


def reasons_in_words(
    reasons: Sequence[Mapping[str, Any]], features: Mapping[str, Any], manifest: Manifest | None
) -> list[dict[str, Any]]:
    """The reasons that may be named, the strongest first: `feature, value, contribution, code, text`.

    The text is the manifest's for a contribution above or below 0; without one it says which way the input pulled.
    """
    texts = {} if manifest is None else manifest.reasons
    named = [each for each in reasons if not texts.get(each["feature"], _UNSAID).suppress]
    ordered = sorted(named, key=lambda each: -abs(each["contribution"]))
    return [_worded(each, features, texts.get(each["feature"], _UNSAID)) for each in ordered]


def _worded(reason: Mapping[str, Any], features: Mapping[str, Any], texts: Reason) -> dict[str, Any]:
    name, contribution = reason["feature"], reason["contribution"]
    stated = texts.positive if contribution > 0 else texts.negative
    way = "raised" if contribution > 0 else "lowered"
    return {
        "feature": name,
        "value": plain(features.get(name)),
        "contribution": contribution,
        "code": reason["code"] or texts.code,
        "text": stated or f"{name} {way} the score",
    }
