"""One answer for each score: retries and second runs write the same score again, and must not contradict it."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from audit.asking.moments import time_text
from audit.files.found.receipts import FoundReceipt
from schemas.vectors import from_bytes

REPLAY = "replay"
_TIMES = ("event_time", "scored_at")
# What two receipts of one score must agree in. The others say when, where and by which release it was answered, and a
# retry may be answered elsewhere.
_SAME = ("event_id", "event_time", "model", "version", "digest", "decision", "definitions", "features", "lookups")
# Libraries add floats in an order that depends on the size of a batch.
_ROUNDING = 1e-6


class OneScore(NamedTuple):
    """The receipt of a score that is shown, all that have its id, and what they contradict each other in (names of
    fields; empty where they do not)."""

    shown: FoundReceipt
    receipts: tuple[FoundReceipt, ...]
    contradicts: tuple[str, ...]

    @property
    def finding(self) -> str:
        """The contradiction in one line; empty where there is none."""
        if not self.contradicts:
            return ""
        files = ", ".join(dict.fromkeys(one.file for one in self.receipts))
        score_id = self.shown.receipt["score_id"]
        return f"score {score_id} has receipts that contradict each other in {', '.join(self.contradicts)}: {files}"


def answers(found: Iterable[FoundReceipt]) -> list[OneScore]:
    """The receipts by their score, in the order of event time, wherever they lie."""
    grouped: dict[str, list[FoundReceipt]] = {}
    for one in found:
        grouped.setdefault(one.receipt["score_id"], []).append(one)
    return sorted((_answer(each) for each in grouped.values()), key=_time)


def _time(score: OneScore) -> tuple[int, str, str, str]:
    one = score.shown.receipt
    return one["event_time"], one["event_id"], one["role"], one["score_id"]


def _answer(receipts: list[FoundReceipt]) -> OneScore:
    shown = min(receipts, key=_turn)
    # The features of a late event depend on when it came, and a replay is no answer: neither contradicts.
    answered = (one for one in receipts if not one.receipt["late"] and one.receipt["role"] != REPLAY)
    binding = [{**one.receipt, **(one.stored or {})} for one in answered]
    first = binding[0] if binding else None
    differs = {name for other in binding[1:] if first is not None for name in _differences(first, other)}
    return OneScore(shown, tuple(receipts), tuple(sorted(differs)))


def _turn(found: FoundReceipt) -> tuple[bool, bool, int, str, int]:
    """The receipt that is shown is the earliest one that was an answer."""
    one = found.receipt
    return one["role"] == REPLAY, bool(one["late"]), one["scored_at"], found.file, found.row


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    names = [name for name in _SAME if not _same(one[name], other[name])]
    if one["key_id"] != other["key_id"]:  # encrypted anew: the bytes differ whatever they hide
        names = [name for name in names if name != "features"]
    near = math.isclose(one["score"], other["score"], rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return names if near else ["score", *names]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or bool(one == other)


def document(one: FoundReceipt) -> dict[str, Any]:
    """The receipt as JSON: times as RFC 3339, vectors as lists of numbers, numbers that JSON lacks as texts; `locked`,
    where its features cannot be read: why."""
    receipt = one.receipt
    shown = {name: plain(value) for name, value in receipt.items()} | ({"locked": one.locked} if one.locked else {})
    return shown | {name: time_text(receipt[name]) for name in _TIMES}


def plain(value: Any) -> Any:
    """A value of a receipt as JSON has it."""
    if isinstance(value, bytes):
        try:
            return [plain(float(number)) for number in from_bytes(value)] if value else []
        except ValueError:  # not a vector of ours, such as a value that is encrypted
            return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value
