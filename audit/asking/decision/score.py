"""`audit score ID`: one decision with everything that led to it, and everything that followed."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from audit.asking.access import OF_ALL, PERSONAL, accessed_version, by_time
from audit.asking.advice import advice_behind
from audit.asking.answers import OneScore, answers, document, plain
from audit.asking.decision.nearest_change import Change, changes
from audit.asking.decision.reverify import Verification, try_to_load, verification
from audit.asking.decision.wording import reasons_computed, reasons_kept
from audit.asking.history import Span
from audit.asking.sources import AuditSources, UnknownToAudit, missing
from audit.asking.training.trained_on import NamedInTraining, named_in_training
from audit.files.formats import NO_KEYS
from audit.files.found.receipts import FoundReceipt
from models.bundles.manifest import Manifest
from models.bundles.recorded import NotRecorded
from models.errors import BundleRefused, NotScored, StoreError
from models.explaining.reasons import NotExplained
from models.releases.release import Release, release_document
from models.serving.cache import LoadFailed
from models.store.access_log import AccessEntry
from models.strict_json import parse_object
from schemas.errors import UnusableData

NOT_TRIED = Verification("not known", detail="not asked for")


class ScorePage(NamedTuple):
    """What is known of one score; `manifest` and `release` are None where the store has none any more; `missing`: what
    cannot be said, and why; `reasons_computed`: the receipt has no reasons, these were computed now; `trained_on`:
    whether the version was trained on this event or its subject, None where that is not known; `advice`: to retrain,
    which the version was trained on, None where its manifest names none."""

    answer: OneScore
    manifest: Manifest | None
    release: Release | None
    before: Span | None
    after: Span | None
    accessed: tuple[dict[str, Any], ...]
    reasons: tuple[dict[str, Any], ...]
    verification: Verification
    changes: tuple[Change, ...]
    no_change: str
    missing: tuple[str, ...]
    reasons_computed: bool = False
    trained_on: NamedInTraining | None = None
    advice: dict[str, Any] | None = None

    @property
    def receipt(self) -> Mapping[str, Any]:
        """The receipt that is shown."""
        return self.answer.shown.receipt

    def document(self) -> dict[str, Any]:
        """As JSON (docs/design.md §9)."""
        manifest = None if self.manifest is None else parse_object(self.manifest.raw)
        return {
            "score": plain(self.receipt["score"]),
            "receipt": document(self.answer.shown),
            "manifest": manifest,
            "release": None if self.release is None else release_document(self.release),
            "before": None if self.before is None else self.before.document(),
            "after": None if self.after is None else self.after.document(),
            "accessed": list(self.accessed),
            "reasons": plain(list(self.reasons)),
            "reasons_computed": self.reasons_computed,
            "verified": self.verification.verified,
            "verification": self.verification.document(),
            "changes": [plain(change._asdict()) for change in self.changes],
            "no_change": self.no_change,
            "files": [f"{one.file} record {one.row + 1}" for one in self.answer.receipts],
            "contradicts": list(self.answer.contradicts),
            "trained_on": None if self.trained_on is None else self.trained_on.document(),
            "advice": self.advice,
            "missing": list(self.missing),
        }


def find_score(sources: AuditSources, score_id: str) -> OneScore:
    """The receipts of a score.

    Raises:
        UnknownToAudit: there are none.
        StoreUnavailable: the audit's store does not answer.
    """
    found = answers(sources.audit.find("score_id", score_id))
    if not found:
        seen = sources.audit.looked_through
        advice = seen.advice("halflife audit event EVENT_ID")
        where = f"looked through {seen} in {sources.audit.url}"
        raise UnknownToAudit(f"score {score_id!r} is in no receipt: {where}; next: {advice}")
    sources.take_findings(found)
    return found[0]


def score_page(sources: AuditSources, answer: OneScore, verify: bool) -> ScorePage:
    """Everything about a score. That it is read is written to the access log first.

    Raises:
        StoreError: the access could not be written; nothing may be shown then.
    """
    one = answer.shown.receipt
    detail = {name: answer.shown.named(name) for name in ("score_id", "event_id", "subject", "version")}
    sources.record_access(one["model"], "score", **detail)
    lacks = list[str]()
    if answer.shown.locked:
        lacks.append(f"the features and reasons: {answer.shown.locked}{_hint(answer.shown.locked)}")
    manifest = _manifest(sources, one, lacks)
    history = sources.history_of(one["model"])
    release = next((each for each in history.serving if each.sequence == one["release"]), None)
    if release is None and one["release"]:
        lacks.append(f"release {one['release']} is not in the store {sources.store_url} any more, or was refused")
    before, after = history.around(one["release"], one["version"])
    page = ScorePage(
        answer, manifest, release, before, after, _accessed(sources, answer.shown),
        tuple(reasons_kept(one, manifest)), NOT_TRIED, (), "not asked for", (),
        trained_on=None if manifest is None else _trained_on(sources, manifest, answer.shown, lacks),
        advice=advice_behind(history, manifest),
    )  # fmt: skip
    if verify:
        page = _again(sources, page, lacks)
    elif not page.reasons:
        lacks.append("no reasons are in the receipt; without --no_verify they are computed now")
    return page._replace(missing=tuple(lacks))


def _manifest(sources: AuditSources, receipt: Mapping[str, Any], lacks: list[str]) -> Manifest | None:
    try:
        manifest = sources.store_of(receipt["model"]).read_manifest(receipt["version"])
    except (BundleRefused, StoreError) as error:
        lacks.append(f"manifest: {missing(error)}")
        return None
    if manifest.digest != receipt["digest"]:
        found = f"version {receipt['version']!r} in the store has digest {manifest.digest}"
        lacks.append(f"manifest: {found}, the receipt {receipt['digest']}: another bundle has its name now")
        sources.findings.append(lacks[-1])
        return None
    return manifest


def _trained_on(
    sources: AuditSources, manifest: Manifest, shown: FoundReceipt, lacks: list[str]
) -> NamedInTraining | None:
    store = sources.store_of(shown.receipt["model"])
    # In plain where it was published without privacy; else hashed, by the key of the epoch in which it was.
    events, subjects = (set(_names(sources, shown, field)) for field in ("event_id", "subject"))
    try:
        return named_in_training(store, manifest, events, None if shown.receipt["subject"] is None else subjects)
    except (BundleRefused, UnusableData) as error:
        lacks.append(f"whether {manifest.version!r} was trained on this event: {missing(error)}")
        return None


def _names(sources: AuditSources, shown: FoundReceipt, field: Literal["event_id", "subject"]) -> Iterator[str]:
    for name in filter(None, (shown.receipt[field], shown.named(field))):
        yield from sources.audit.stored_names(field, name)


def _hint(locked: str) -> str:
    return "; next: name the job, whose privacy.keys has them, by --job" if locked == NO_KEYS else ""


def _accessed(sources: AuditSources, shown: FoundReceipt) -> tuple[dict[str, Any], ...]:
    """Who read this score, and who did anything with its version or release."""
    receipt = shown.receipt
    about = {name: value for name in PERSONAL if (value := shown.named(name)) is not None}
    found = [
        entry.document()
        for entry in sources.accesses_of(receipt["model"])
        if any(entry.detail.get(name) == value for name, value in about.items())
        or OF_ALL in entry.detail
        or (_is_of_release(entry, receipt) and not PERSONAL & entry.detail.keys())
    ]
    of_version = accessed_version(sources, receipt["model"], receipt["version"], receipt["digest"])
    return by_time([*found, *of_version])


def _is_of_release(entry: AccessEntry, receipt: Mapping[str, Any]) -> bool:
    return "version" not in entry.detail and entry.detail.get("release") == receipt["release"]


def _again(sources: AuditSources, page: ScorePage, lacks: list[str]) -> ScorePage:
    """The page with what the version answers today, and what another value of a feature would have changed."""
    one, locked = page.receipt, page.answer.shown.locked
    if locked:
        sources.findings.append(f"score {one['score_id']} is not verified: its features are {locked}")
        unknown = Verification("not known", detail=f"the features are {locked}")
        return page._replace(verification=unknown, no_change=f"the features are {locked}")
    model = try_to_load(sources.store_of(one["model"]), one, sources.allow_pickle)
    checked = verification(one, model)
    if checked.verified is not True:
        sources.findings.append(f"score {one['score_id']} is not verified: {checked.detail}")
    if isinstance(model, LoadFailed):
        return page._replace(verification=checked, no_change=f"the version could not be loaded: {model.reason}")
    if not page.reasons:
        try:
            page = page._replace(reasons=tuple(reasons_computed(model, one)), reasons_computed=True)
        except (NotScored, NotRecorded, NotExplained) as error:
            lacks.append(f"reasons: {missing(error)}")
    try:
        tried = changes(model, one["features"])
    except (NotScored, NotRecorded, KeyError) as error:
        return page._replace(verification=checked, no_change=missing(error))
    return page._replace(verification=checked, changes=tried.found, no_change=tried.detail)
