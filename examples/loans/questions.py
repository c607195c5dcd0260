"""What is asked about one rejected application after the lawsuit, answered from receipts, store and access log."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import halflife
from examples.loans.plan import MODEL, TRAININGS
from models.bundles.manifest import Manifest
from models.releases.release import Release
from models.store.store import ModelStore
from schemas.times import format_time_us

_ANSWERS = ("champion", "challenger")
_MOST_ACCESSES = 12


class Answer(NamedTuple):
    """A question, its answer in lines, and the command that says more."""

    question: str
    lines: Sequence[str]
    command: str


class Case(NamedTuple):
    """One application that was rejected: its receipt, all receipts of its subject, and the version that decided."""

    receipt: Mapping[str, Any]
    of_subject: Sequence[Mapping[str, Any]]
    manifest: Manifest
    store: ModelStore


def find_case(store: ModelStore, audit: Path) -> Case:
    """The application that the last version, while it answered, rejected most narrowly."""
    receipts = halflife.read_receipts(str(audit))
    manifest = store.read_manifest(TRAININGS[-1].version)
    answered = pc.is_in(receipts["role"], value_set=pa.array(_ANSWERS))
    decided = receipts.filter(pc.and_(answered, pc.equal(receipts["digest"], manifest.digest)))
    below = decided.filter(pc.less(decided["score"], manifest.output.threshold))
    [receipt] = below.sort_by([("score", "descending"), ("event_id", "ascending")]).slice(0, 1).to_pylist()
    own = receipts.filter(pc.equal(receipts["subject"], receipt["subject"])).to_pylist()
    return Case(receipt, own, manifest, store)


def answers(case: Case, store: Path) -> list[Answer]:
    """The questions in their order, answered. `store`: as commands name it."""
    location = f"--store {store} --model {MODEL}"
    show = f"models show {case.manifest.version} {location}"
    return [
        Answer("Why was the application rejected?", _why(case), ""),
        Answer("Which version was it?", _which(case), show),
        Answer("How was it trained?", _trained(case.manifest), show),
        Answer("When was it deployed, by whom and why?", _deployed(case), f"models timeline {location}"),
        Answer("Which records trained it?", _records(case), ""),
        Answer("Who had access?", _accessed(case), f"models access {location}"),
        Answer("What is held on the customer, who may ask for deletion?", _held(case), ""),
    ]


def _why(case: Case) -> list[str]:
    receipt, output = case.receipt, case.manifest.output
    read = ", ".join(f"{name} {value}" for name, value in receipt["features"].items())
    return [
        f"application {receipt['event_id']} of {receipt['event_time']:%Y-%m-%d %H:%M:%S}: the score "
        f"{receipt['score']:.6f} is below {output.threshold}, from where on version {case.manifest.version} approves",
        f"read for it: {read}",
        f"receipt {receipt['score_id']}, scored at {receipt['scored_at']:%Y-%m-%d %H:%M:%S} UTC",
    ]


def _which(case: Case) -> list[str]:
    return [f"version {case.manifest.version} of {MODEL} ({case.manifest.scorer}), digest {case.manifest.digest}"]


def _trained(manifest: Manifest) -> list[str]:
    training, quality = manifest.training, manifest.quality
    data = ", ".join(Path(each["uri"]).name for each in training["data"])
    return [
        f"at {training['trained_at']} by {training['code']} on {training['parameters']['rows']:,} rows of {data}",
        "parameters: " + ", ".join(f"{name} {value}" for name, value in training["hyperparameters"].items()),
        "on the last fifth: " + ", ".join(f"{name} {value:.4g}" for name, value in quality.items()),
    ]


def _deployed(case: Case) -> list[str]:
    releases = sorted(case.store.releases(), key=lambda each: (each.effective_from_us, each.sequence))
    own = next(at for at, each in enumerate(releases) if each.sequence == case.receipt["release"])
    around = [("before it", releases[:own][-1:]), ("then", [releases[own]]), ("after it", releases[own + 1 :][:1])]
    return [f"{when}: {_released(each)}" for when, found in around for each in found]


def _released(release: Release) -> str:
    since = format_time_us(release.effective_from_us)
    return f"release {release.sequence}, version {release.champion} from {since}, by {release.by}: {release.reason}"


def _records(case: Case) -> list[str]:
    name = case.manifest.training["records"]
    with tempfile.TemporaryDirectory(prefix="halflife-loans-") as folder:
        bundle = case.store.fetch(case.manifest.version, Path(folder) / "bundle", case.manifest.digest)
        records = pq.read_table(bundle / name)
    own = pc.is_in(pa.scalar(case.receipt["event_id"]), value_set=records["event_id"]).as_py()
    among = "is among them" if own else "is not among them"
    return [f"the {records.num_rows:,} applications in its {name}; application {case.receipt['event_id']} {among}"]


def _accessed(case: Case) -> list[str]:
    """Who did what with this version; each run loads it anew, so only the latest entries are told."""
    wanted = case.manifest.version
    entries = [
        each
        for each in case.store.accesses().entries
        if wanted in (each.detail.get("version"), *str(each.detail.get("versions", "")).split(","))
    ]
    left_out = [f"… and {len(entries) - _MOST_ACCESSES} earlier entries"] if len(entries) > _MOST_ACCESSES else []
    told = [f"{format_time_us(each.at_us)} {each.actor}: {each.action}" for each in entries[-_MOST_ACCESSES:]]
    return [*left_out, *told]


def _held(case: Case) -> list[str]:
    held = [f"receipt {each['score_id']} ({each['role']}, version {each['version']})" for each in case.of_subject]
    return [f"subject {case.receipt['subject']}: {', '.join(held)}"]
