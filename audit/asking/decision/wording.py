"""Reasons of a score in words: those of its receipt, or computed now by the version that scored it."""

from collections.abc import Mapping
from typing import Any

from audit.asking.answers import plain
from models.bundles.manifest import Manifest, Reason
from models.explaining.reasons import TOP, reasons_of, words_of
from models.serving.cache import LoadedModel

_UNSAID = Reason()


def reasons_kept(receipt: Mapping[str, Any], manifest: Manifest | None) -> list[dict[str, Any]]:
    """The reasons of a receipt that may be named, the strongest first: `feature, value, contribution, code, text`.

    The text is the manifest's for a contribution above or below 0; without one it says which way the input pulled.
    """
    stated = {} if manifest is None else manifest.reasons
    named = [each for each in receipt["reasons"] if not stated.get(each["feature"], _UNSAID).suppress]
    ordered = sorted(named, key=lambda each: -abs(each["contribution"]))
    found = []
    for each in ordered:
        code, text = (None, None) if manifest is None else words_of(manifest, each["feature"], each["contribution"])
        value = receipt["features"].get(each["feature"])
        found.append(_worded(each["feature"], value, each["contribution"], each["code"] or code, text))
    return found


def reasons_computed(model: LoadedModel, receipt: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As `reasons_kept`, of a receipt without reasons, by the version that scored it.

    Raises:
        NotRecorded, NotExplained: there are none.
    """
    [found] = reasons_of(model, [receipt], TOP)
    return [_worded(each.feature, each.value, each.contribution, each.code, each.text) for each in found.contributions]


def _worded(feature: str, value: Any, contribution: float, code: str | None, text: str | None) -> dict[str, Any]:
    way = "raised" if contribution > 0 else "lowered"
    words = text or f"{feature} {way} the score"
    return {"feature": feature, "value": plain(value), "contribution": contribution, "code": code, "text": words}
