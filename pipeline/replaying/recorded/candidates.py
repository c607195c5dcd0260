"""What one or two versions would have answered, from the receipts of the answers that were given."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.bundles.manifest import Manifest
from models.releases.release import CANDIDATES
from models.serving.cache import LoadedModel
from pipeline.commands.models.location import check_version_known
from pipeline.replaying.comparison import compare, describe
from pipeline.replaying.recorded.definitions import RecordedDefinitions
from pipeline.replaying.recorded.receipts import SEGMENT, ReadReceipts, choose, kinds_of, read_receipts, taken, where
from pipeline.replaying.recorded.rescoring import Again, Write, rescore
from pipeline.replaying.recorded.world import World
from schemas.job import DriftSpec
from schemas.validation import SpecError
from transforms.scoring.receipts import ReceiptOrigin
from transforms.scoring.scoring import CHAMPION, SHADOW

RECORDED = "recorded"
"""What answers are called that left the job."""
_COMPARED = ("event_id", "event_time", "score", "decision")
_MOST_SEGMENTS = 20
Mask = npt.NDArray[np.bool_]


class _Answered(NamedTuple):
    """`scores`: those of a version, with `late` and the segments beside what is compared; `recorded`: the answers that
    left the job, for the same events; what was left out, by reason; and the errors of events without a score."""

    scores: pa.Table
    recorded: pa.Table
    events: int
    left_out: Mapping[str, int]
    errors: Counter[str]
    read: Mapping[str, int]
    locked: Mapping[str, Sequence[str]]


def replay_candidates(world: World, versions: Sequence[str], origin: ReceiptOrigin, write: Write) -> dict[str, Any]:
    """The report; the new records go to `write`.

    Raises:
        SpecError: the store has no such version, or no receipt holds its inputs.
        CandidateRefused: a version may not serve.
        StoreError: store or audit do not answer.
    """
    for version in versions:
        check_version_known(world.store, version, "--version")
    definitions = RecordedDefinitions(world.audit)
    answered = {
        version: _answered(world, world.load(version), definitions, origin, write) for version in versions
    }
    first = answered[versions[0]]
    report: dict[str, Any] = {"receipts": dict(first.read), "events": first.events, "versions": {}}
    report |= first.locked
    for version, each in answered.items():
        said = describe(each.scores.select(_COMPARED), world.drift)
        report["versions"][version] = {
            **said,
            "unscored": sum(each.errors.values()),
            "errors": dict(each.errors),
            "left_out": dict(each.left_out),
        }
    names = (RECORDED, *versions) if len(versions) == 1 else tuple(versions)
    before = first.recorded if len(versions) == 1 else first.scores
    report["comparison"] = {
        "first": names[0],
        "second": names[1],
        **_compared(before, answered[versions[-1]].scores, world.drift),
    }
    return report


def _answered(
    world: World, model: LoadedModel, definitions: RecordedDefinitions, origin: ReceiptOrigin, write: Write
) -> _Answered:
    manifest, segments = model.manifest, world.drift.segments
    found = read_receipts(world.audit, world.wanted, lambda version, digest: manifest.inputs, segments)
    rows = _whole(found, manifest)
    chosen = choose(rows, manifest.digest)
    own = taken(rows, chosen.scored)
    if not own.num_rows:
        raise SpecError("--version", manifest.version, _source_instead(found.lacking))
    scores, left_out, errors = _scored(own, model, definitions, origin, write)
    recorded = taken(rows, chosen.answered)
    lacking = int((chosen.scored < 0).sum())
    out = {"inputs_not_held": lacking, **left_out}
    read = {"read": rows.num_rows, "repeated": chosen.repeated, "contradicted": chosen.contradicted}
    read |= found.locked.told()
    named = [*_COMPARED, "late", *(f"{SEGMENT}{name}" for name in segments)]
    kept = {name: number for name, number in out.items() if number}
    both = scores.select(named), recorded.select(named)
    return _Answered(*both, len(chosen.scored), kept, errors, read, found.locked.named)


def _whole(found: ReadReceipts, manifest: Manifest) -> pa.Table:
    if not found.by_digest:
        allowed = "a time with receipts: the audit has none there; next: look at sinks.audit, --from and --to"
        if closed := found.locked.told():
            said = ", ".join(f"{number:,} are {name}" for name, number in closed.items())
            allowed = f"a time with receipts that can be read: {said}; next: look at privacy.keys, --from and --to"
        raise SpecError("--version", manifest.version, allowed)
    return found.together()


def _source_instead(lacking: Sequence[str]) -> str:
    listed = ", ".join(lacking)
    return (
        f"a version whose inputs the receipts hold, which lack {listed}; next: without --receipts, halflife replay "
        "computes them from the source"
    )


def _scored(
    rows: pa.Table, model: LoadedModel, definitions: RecordedDefinitions, origin: ReceiptOrigin, write: Write
) -> tuple[pa.Table, dict[str, int], Counter[str]]:
    """The rows that have a score, with it and its decision in place of the recorded ones."""
    parts, unknown, errors = [], 0, Counter[str]()
    for again, own in _groups(rows, model, definitions):
        if again is None:
            unknown += own.num_rows
            continue
        done = rescore(own, again, origin, write)
        errors.update(done.errors)
        for name, column in (("score", pa.array(done.scores)), ("decision", done.decisions)):
            own = own.set_column(own.schema.get_field_index(name), name, column)
        parts.append(where(own, ~np.isnan(done.scores)))
    scored = pa.concat_tables(parts) if parts else rows.slice(0, 0)
    return scored, {"definitions_unknown": unknown}, errors


def _groups(
    rows: pa.Table, model: LoadedModel, definitions: RecordedDefinitions
) -> Iterator[tuple[Again | None, pa.Table]]:
    """The rows that have one set of definitions and one role, with what scores them; None where nobody says what their
    features meant."""
    for kind, own in kinds_of(rows, ("run", "digest", "definitions", "role")):
        own_version = kind["digest"] == model.manifest.digest
        meant = kind["definitions"] if own_version else definitions.of(kind["run"], model.manifest)
        known = own_version or meant is not None
        role = kind["role"] if own_version or kind["role"] != SHADOW else CHAMPION
        yield (Again(model, meant, CANDIDATES, role) if known else None), own


def _compared(first: pa.Table, second: pa.Table, spec: DriftSpec) -> dict[str, Any]:
    """As `comparison.compare` of the events in time, with segments; those that were late apart."""
    is_late = [table["late"].to_numpy() for table in (first, second)]
    in_time = [where(table, ~own) for table, own in zip((first, second), is_late, strict=True)]
    late = [where(table, own) for table, own in zip((first, second), is_late, strict=True)]
    found = compare(in_time[0].select(_COMPARED), in_time[1].select(_COMPARED), spec)
    by_segment = {name: _by_value(name, in_time[0], in_time[1], spec) for name in spec.segments}
    apart = compare(late[0].select(_COMPARED), late[1].select(_COMPARED), spec)["overall"]
    return {**found, "segments": by_segment, "late": {"events": late[1].num_rows, **apart}}


def _by_value(name: str, first: pa.Table, second: pa.Table, spec: DriftSpec) -> list[dict[str, Any]] | None:
    """The comparison by the values of a segment, most frequent first; None where no receipt holds it."""
    column = f"{SEGMENT}{name}"
    counted = sorted(
        ((each["values"], each["counts"]) for each in pc.value_counts(second[column].drop_null()).to_pylist()),
        key=lambda each: (-each[1], each[0]),
    )
    if not counted:
        return None
    found = []
    for value in [value for value, _ in counted[:_MOST_SEGMENTS]]:
        before, after = (table.filter(pc.equal(table[column], value)).select(_COMPARED) for table in (first, second))
        found.append({"value": value, **compare(before, after, spec)["overall"]})
    return found
