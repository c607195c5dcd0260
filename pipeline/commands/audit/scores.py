"""The list of scores of `halflife audit score` without an ID."""

import argparse
from collections.abc import Iterator
from itertools import islice

from audit.asking.answers import document
from audit.asking.moments import time_text
from audit.asking.sources import AuditSources
from audit.files.audit import ReceiptFilter
from audit.files.found.receipts import FoundReceipt
from pipeline.commands.output import print_table
from pipeline.reporting.printer import note, print_json

LIMIT = 100
COLUMNS = ("event time", "score id", "event", "version", "role", "score", "decision")


def list_scores(sources: AuditSources, options: argparse.Namespace) -> None:
    """Prints the scores that the filters leave, as a table or a JSON document a line.

    Raises:
        StoreError: the access could not be written; nothing is shown then.
    """
    wanted = ReceiptFilter(options.version, options.decision, options.first_us, options.last_us)
    limit = options.limit or LIMIT
    found = list(islice(_once(sources.audit.scan(wanted)), limit + 1))
    said = {name: getattr(options, name) for name in ("version", "decision")}
    times = {name: None if at is None else time_text(at) for name, at in _times(options)}
    models = {one.receipt["model"] for one in found[:limit]}
    allowed = sources.allowed(models, "scores", scores=len(found[:limit]), **said, **times)
    shown = [one for one in found[:limit] if one.receipt["model"] in allowed]
    if options.json:
        for one in shown:
            print_json(document(one))
    else:
        print_table(COLUMNS, [row_of(one) for one in shown], f"scores in {sources.audit.url}")
    if not found:
        asked = {"--version": options.version, "--decision": options.decision} | {f"--{k}": v for k, v in times.items()}
        wants = " ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
        note(f"no score is of {wants or 'any event'}: looked through {sources.audit.looked_through}")
    if len(found) > limit:
        note(f"there are more than {limit}; next: --limit N, or narrower filters")


def _times(options: argparse.Namespace) -> tuple[tuple[str, int | None], ...]:
    return ("from", options.first_us), ("to", options.last_us)


def _once(found: Iterator[FoundReceipt]) -> Iterator[FoundReceipt]:
    """Each score once, by its first receipt."""
    seen = set[str]()
    for one in found:
        if one.receipt["score_id"] not in seen:
            seen.add(one.receipt["score_id"])
            yield one


def row_of(one: FoundReceipt) -> list[object]:
    """A receipt as a row of `COLUMNS`."""
    receipt = one.receipt
    return [
        time_text(receipt["event_time"]),
        *(receipt[name] for name in ("score_id", "event_id", "version", "role")),
        f"{receipt['score']:.6g}",
        receipt["decision"],
    ]
