"""A score's page as titled tables, which a terminal and a page of HTML show alike."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from audit.asking.advice import advice_pairs
from audit.asking.answers import plain
from audit.asking.decision.score import ScorePage
from audit.asking.history import Span
from audit.asking.moments import time_text
from models.bundles.manifest import Manifest
from models.releases.release import Release

_TRAINING = ("trained_at", "code", "parameters", "hyperparameters", "decision", "records")


class Section(NamedTuple):
    """A titled table; without `columns` its rows are names with values."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def sections(page: ScorePage) -> list[Section]:
    """The parts of the page that there is something to say in."""
    found = [
        Section("The decision", (), _decision(page)),
        Section(
            "Why (computed now)" if page.reasons_computed else "Why",
            ("reason", "feature", "value", "contribution", "code"),
            _reasons(page),
        ),
        Section("What the model read", ("feature", "value"), _features(page)),
        Section("What one other value would have decided", _CHANGE, _changes(page)),
        Section("Checked again now", (), _verification(page)),
        Section("The model", (), [] if page.manifest is None else model_pairs(page.manifest)),
        Section("The advice it was trained on", (), _told(advice_pairs(page.advice))),
        Section("Whether it was trained on this", (), _trained_on(page)),
        Section("Who released it", (), _release(page)),
        Section("Who had access", ("at", "who", "did", "what"), [access_row(each) for each in page.accessed]),
        Section("Not known", (), [("", why) for why in page.missing]),
    ]
    return [section for section in found if section.rows]


_CHANGE = ("feature", "was", "with", "the score is", "the decision is")


def shown(value: Any) -> Any:
    """A value in a table: mappings and lists as `a=1, b=2`, null as a dash, booleans as words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={shown(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list | tuple):
        return ", ".join(str(shown(each)) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "—" if value is None else value


def _told(pairs: Sequence[tuple[str, Any]]) -> list[tuple[Any, ...]]:
    return [(name, shown(value)) for name, value in pairs if value is not None and value != ""]


def _decision(page: ScorePage) -> list[tuple[Any, ...]]:
    one, copies = page.receipt, len(page.answer.receipts)
    output = None if page.manifest is None else page.manifest.output
    files = [f"{each.file} record {each.row + 1}" for each in page.answer.receipts]
    return _told(
        [
            ("decision", one["decision"] or "none: the version decides nothing"),
            ("score", plain(one["score"])),
            ("threshold", None if output is None else output.threshold),
            ("what the score is", None if output is None else _meaning(page.manifest)),
            ("event", one["event_id"]),
            ("event time", time_text(one["event_time"])),
            ("about", one["subject"]),
            ("model", f"{one['model']} {one['version']}"),
            ("digest", one["digest"]),
            ("role", one["role"]),
            ("late", one["late"]),
            ("scored at", time_text(one["scored_at"])),
            ("by", one["worker"]),
            ("job", one["job"]),
            ("run", one["run"]),
            ("tables looked up", one["lookups"]),
            ("score id", one["score_id"]),
            ("receipts", f"{copies}: {', '.join(files)}" if copies > 1 else files[0]),
            ("contradiction", f"in {', '.join(page.answer.contradicts)}" if page.answer.contradicts else None),
        ]
    )


def _meaning(manifest: Manifest | None) -> str:
    output = None if manifest is None else manifest.output
    if output is None:
        return ""
    return f"{output.kind} of {output.positive}" if output.positive else output.kind


def _features(page: ScorePage) -> list[tuple[Any, ...]]:
    features, locked = page.receipt["features"], page.answer.shown.locked.partition(":")[0]
    return [(name, locked or shown(plain(features[name]))) for name in sorted(features)]


def _reasons(page: ScorePage) -> list[tuple[Any, ...]]:
    return [
        (each["text"], each["feature"], shown(each["value"]), f"{each['contribution']:+.6g}", each["code"] or "")
        for each in page.reasons
    ]


def _changes(page: ScorePage) -> list[tuple[Any, ...]]:
    if not page.changes:
        return [("none", "", "", "", page.no_change)]
    return [(each.feature, shown(each.was), each.value, each.score, each.decision) for each in page.changes]


def _verification(page: ScorePage) -> list[tuple[Any, ...]]:
    found = page.verification
    said = {
        "to the bit": "yes: the version gives the same score, to the bit",
        "within tolerance": f"yes: within {found.tolerance}, the tolerance of the version",
        "no": "NO",
    }
    return _told(
        [
            ("same score", said.get(found.equal, "not known")),
            ("scored again", found.score),
            ("detail", found.detail),
            ("seconds", f"{found.load_s:.2f} to load, {found.score_s:.4f} to score" if found.load_s else None),
        ]
    )


def model_pairs(manifest: Manifest) -> list[tuple[Any, ...]]:
    """What a manifest says of the model and its training, as names with values."""
    training = manifest.training
    data = [(f"trained on {index}", each) for index, each in enumerate(training.get("data", ()), start=1)]
    quality = [(f"quality {name}", value) for name, value in manifest.quality.items()]
    return _told(
        [
            ("digest of the manifest", manifest.digest),
            ("scorer", manifest.scorer),
            ("made by", manifest.created_by),
            *((name.replace("_", " "), training.get(name)) for name in _TRAINING),
            *data,
            *quality,
            ("libraries", manifest.libraries),
            ("settings", manifest.parameters),
        ]
    )


def _trained_on(page: ScorePage) -> list[tuple[Any, ...]]:
    """How many training records of the version name the event and the subject."""
    found = page.trained_on
    if found is None:
        return []
    counts = [("this event", found.of_event), (f"subject {page.receipt['subject']}", found.of_subject)]
    return [(name, _records(n, found.file)) for name, n in counts if n is not None]


def _records(count: int, file: str) -> str:
    return f"{count} {'record' if count == 1 else 'records'} of {file}" if count else f"no: not in {file}"


def _release(page: ScorePage) -> list[tuple[Any, ...]]:
    pairs = [] if page.release is None else release_pairs(page.release)
    return _told([*pairs, ("served before", _span(page.before)), ("serves after", _span(page.after))])


def release_pairs(release: Release) -> list[tuple[str, Any]]:
    """What a release says, as names with values."""
    return [
        ("release", release.sequence),
        ("in force from", time_text(release.effective_from_us)),
        ("champion", release.champion),
        ("challengers", ", ".join(f"{each.version} {each.share:.4g}" for each in release.challengers)),
        ("shadows", ", ".join(release.shadows)),
        ("released by", release.by),
        ("at", time_text(release.at_us)),
        ("because", release.reason),
        ("evidence", release.evidence),
    ]


def _span(span: Span | None) -> str | None:
    if span is None:
        return None
    until = "" if span.ends_us is None else f" to {time_text(span.ends_us)}"
    return f"{span.release.champion}, release {span.release.sequence}, from {time_text(span.begins_us)}{until}"


def access_row(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """An entry of the access log: when, who, what was done, and the rest."""
    rest = {name: value for name, value in entry.items() if name not in ("at", "actor", "action")}
    return entry["at"], entry["actor"], entry["action"], shown({k: v for k, v in rest.items() if v != ""})
