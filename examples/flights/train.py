"""Trains, publishes and releases three versions of `flight-delay`, and one that must be refused.

`python -m examples.flights.train --data data --store data/models` does it once: a store that this code made from this
data is left unchanged, with whatever was released in it since.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from examples.flights import prepare
from examples.flights.bundles import Published, publish_broken, publish_version
from examples.flights.plan import MODEL, SMALL_PLAN, YEAR_PLAN, Plan
from examples.flights.prepare import SUMMARY, read_summary, say
from examples.flights.training_set import NothingToLearn, arrivals, labelled, point_in_time_features
from models.errors import BundleRefused, StoreError
from models.releases.release import Challenger
from models.store.store import ModelStore
from pipeline.endpoints.errors import NoInput
from pipeline.reporting.summary import CountsDoNotAdd
from schemas.times import parse_time_us
from schemas.validation import SpecError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# The code on which a store's content depends, besides the data: that of features and of bundles.
_CODE = ("schemas", "models", "transforms")
# These only report what happened.
_TELLING = ("demo.py", "findings.py")
_SOURCE = (".py", ".avsc", ".json")
MADE_BY = "flights-example.json"
BY = "examples.flights"
_HOUR_US = 3_600_000_000


def fingerprint(data: Path) -> str:
    """A key that changes with the data, the code of features and bundles, the job and the lock; then everything is made
    again."""
    files = json.dumps(read_summary(data).get("files", {}), sort_keys=True)
    digest = hashlib.sha256(files.encode())
    code = [path for path in sorted(HERE.glob("*.py")) if path.name not in _TELLING]
    for folder in _CODE:
        code += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in _SOURCE]
    for path in (*code, ROOT / "pipeline" / "jobs" / "flights.yaml", ROOT / "requirements.lock"):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def is_made(data: Path, store: Path) -> bool:
    """Whether this code made the store from this data."""
    try:
        found = json.loads((store / MADE_BY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("fingerprint") == fingerprint(data)


def make_store(data: Path, store: Path, plan: Plan) -> list[Published]:
    """Trains, publishes and releases into a new store; an older store is moved aside, never deleted.

    Until the new one is complete, the older one stays where it is.

    Raises:
        NothingToLearn: the data is too little for the plan.
        StoreError, OSError: the store cannot be written.
    """
    part = store.with_name(f".{store.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    published = _fill(data, part, plan)
    if store.exists() and any(store.iterdir()):
        os.replace(store, store.with_name(f"{store.name}-before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"))
    os.replace(part, store)
    return published


def _fill(data: Path, store: Path, plan: Plan) -> list[Published]:
    say("computing point-in-time features with the job's own transforms")
    rows = _with_origin(labelled(point_in_time_features(data), arrivals(data)))
    target = ModelStore(str(store), MODEL)
    published = []
    for training in plan.trainings:
        say(f"training version {training.version} ({training.kind})")
        published.append(publish_version(target, training, rows, _sources(data, training.until)))
    publish_broken(target, published[0].manifest)
    _release(target, plan)
    (store / MADE_BY).write_text(json.dumps({"fingerprint": fingerprint(data)}) + "\n", encoding="utf-8")
    return published


def _with_origin(rows: pa.Table) -> pa.Table:
    """Adds the airport, for quality by segment: the last part but one of a flight's id."""
    origins = [event_id.split("-")[-2] for event_id in rows["event_id"].to_pylist()]
    return rows.append_column("origin", pa.array(origins))


def _sources(data: Path, until: str) -> list[dict[str, Any]]:
    """The files that a training set up to `until` draws from; months after it have none of its flights."""
    files = read_summary(data)["files"]
    return [
        {"uri": name, "sha256": entry["sha256"], "rows": entry["records"], "from": None, "to": until}
        for name, entry in files.items()
        if name[-12:-5] <= until[:7]
    ]


def _release(store: ModelStore, plan: Plan) -> None:
    for planned in plan.releases:
        effective_us = parse_time_us(planned.effective_from)
        store.append_release(
            champion=planned.champion,
            challengers=[Challenger(version, share) for version, share in planned.challengers.items()],
            shadows=planned.shadows,
            effective_from_us=effective_us,
            salt=MODEL,
            by=BY,
            reason=planned.reason,
            now_us=effective_us - _HOUR_US,
        )


def report(published: list[Published]) -> str:
    """What was trained, for people."""
    lines = []
    for version in published:
        rows = version.manifest.training["parameters"]["rows"]
        lines.append(
            f"version {version.manifest.version}: {version.manifest.scorer}, {rows:,} flights until "
            f"{version.manifest.training['trained_at'][:10]}, AUC {version.quality['auc']:.3f}, "
            f"log loss {version.quality['log_loss']:.3f} on the last fifth"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 done, 1 failed, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m examples.flights.train", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that prepare wrote (default: data)")
    parser.add_argument("--store", type=Path, default=Path("data/models"), help="model store (default: data/models)")
    parser.add_argument("--small", action="store_true", help="the plan for the five days of prepare --small")
    chosen = parser.parse_args(arguments)
    if not (chosen.data / SUMMARY).is_file():
        print(f"error: {chosen.data} holds no {SUMMARY}: run {prepare.__name__} first", file=sys.stderr)
        return 1
    if is_made(chosen.data, chosen.store):
        print(f"{chosen.store}: made from this data before; left as it is")
        return 0
    try:
        published = make_store(chosen.data, chosen.store, SMALL_PLAN if chosen.small else YEAR_PLAN)
    except (NothingToLearn, NoInput, SpecError, CountsDoNotAdd, BundleRefused, StoreError, OSError) as problem:
        say("")
        print(f"error: {problem}", file=sys.stderr)
        return 1
    say("")
    print(report(published))
    return 0


if __name__ == "__main__":
    sys.exit(main())
