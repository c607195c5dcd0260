"""What an advice shows: JSON for machines, names with values for people."""

from collections.abc import Mapping
from typing import Any

from gates.retraining.advice import amount
from pipeline.commands.output import print_pairs
from pipeline.reporting.printer import note, out, print_json


def show(document: Mapping[str, Any], as_json: bool) -> None:
    """Prints one advice; what is lacking is said beside it."""
    if as_json:
        print_json(document)
    else:
        print_pairs(_pairs(document))
        for each in document["lacking"]:
            note(f"not known: {each['what']}; expected: {each['setting']}")
    out().flush()  # who follows reads it as it comes


def _pairs(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    unit = document["price"]["unit"] or ""
    return [
        ("advice", document["verdict"]),
        ("because", document["why"]),
        ("version", None if document["version"] is None else f"{document['version']} of {document['model']}"),
        ("loss", _loss(document["loss"], document["metric"])),
        ("since", _since(document["change"])),
        ("waiting", _waiting(document["waiting"], unit)),
        ("retraining", None if document["price"]["total"] is None else f"{amount(document['price']['total'])} {unit}"),
        ("data", _data(document["data"])),
        ("scores", _scores(document["score_ids"])),
        ("id", document["advice"] if document["verdict"] != "wait" else None),
        ("given", document["given"]),
        ("trained on it", ", ".join(document["trained"])),
        ("hook", _hook(document["hook"])),
    ]


def _loss(loss: Mapping[str, Any] | None, metric: str) -> str | None:
    if loss is None:
        return None
    between = f"{loss['worse_by']:+.4g} ({loss['low']:+.4g} to {loss['high']:+.4g})"
    fresh = f"{loss['fresh']:.4g} ({loss['fresh_by']})"
    return f"{metric} {loss['now']:.4g}, fresh {fresh}: {between} of {loss['n']} events"


def _since(change: Mapping[str, Any] | None) -> str | None:
    if change is None:
        return None
    return "its first window: no change was seen" if change["since"] is None else f"{change['since']}: {change['to']}"


def _waiting(waiting: Mapping[str, Any] | None, unit: str) -> str | None:
    if waiting is None:
        return None
    day, within = waiting["per_day"], waiting["loses"]
    loses = f"{amount(within['value'])} ({amount(within['low'])} to {amount(within['high'])}) {unit}".rstrip()
    each_day = f"{amount(day['value'])} a day at {amount(waiting['events_per_day'])} events"
    return f"loses {loses} in {waiting['within']}, {each_day}"


def _data(data: Mapping[str, Any] | None) -> str | None:
    if data is None:
        return None
    shortened = "; what is older costs more than it saves" if data["shortened"] else ""
    return f"from {data['from']} to {data['to']}: {data['n']} labelled events{shortened}"


def _scores(scores: Mapping[str, Any] | None) -> str | None:
    return None if scores is None else f"{scores['total']}, of which {len(scores['ids'])} are named"


def _hook(hook: Mapping[str, Any] | None) -> str | None:
    if hook is None or not hook["called"]:
        return None
    told = [f"{each['about']} {'failed' if each['failure'] else 'told'}" for each in hook["called"]]
    return f"{hook['hook']}: {', '.join(told)}"
