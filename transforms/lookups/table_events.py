"""What the audit says of tables in a store: which versions may be joined, from when on, and what was refused."""

import json
from collections.abc import Iterable

from models.store.version_names import TABLES
from schemas.job import LookupSpec, StoredTable, TableRefusal, TableRelease
from schemas.records import ModelEvent

_ACTOR = "job"


def model_of(stored: StoredTable) -> str:
    """What stands in place of a model's name in events of a table: no model's name has a slash."""
    return f"{TABLES}/{stored.table}"


def known_at_start(lookups: Iterable[LookupSpec], at_us: int) -> list[ModelEvent]:
    """The events of all releases that a job found when it started, of each table once."""
    tables = [each.stored for each in lookups if each.stored is not None]
    found = [event for one in tables for event in table_events(one, one.releases, one.refused, at_us)]
    return list(dict.fromkeys(found))


def table_events(
    stored: StoredTable, releases: Iterable[TableRelease], refused: Iterable[TableRefusal], at_us: int
) -> list[ModelEvent]:
    """An `admitted` for each version, a `released` for each release, and a `refused` with its reason."""
    model, releases = model_of(stored), list(releases)
    first = {each.version: each for each in reversed(releases)}
    events = [
        ModelEvent(at_us, "admitted", model, each.version, each.digest, each.sequence, _ACTOR, "", "{}")
        for each in releases
        if first[each.version] is each
    ]
    for each in releases:
        evidence = json.dumps({"effective_from_us": each.effective_from_us})
        of = (model, each.version, each.digest, each.sequence)
        events.append(ModelEvent(at_us, "released", *of, each.by or _ACTOR, each.reason, evidence))
    for one in refused:
        evidence = json.dumps({"detail": one.detail})
        events.append(
            ModelEvent(at_us, "refused", model, one.version, None, one.sequence, _ACTOR, one.reason, evidence)
        )
    return events
