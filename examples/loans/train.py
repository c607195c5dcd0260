"""Trains, publishes and releases two versions of `car-loan`, and one that must be refused.

`python -m examples.loans.train --data data/loans --store data/loans/models` does it once: a store that this code made
from this data is left unchanged, with whatever was released in it since.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import halflife
from examples.loans.bundles import NothingToLearn, publish_exported, publish_version, read_training_set
from examples.loans.plan import BY, EXPORTED, MODEL, RELEASES, ROLLBACK_FROM, ROLLBACK_REASON, TRAININGS
from examples.loans.prepare import OUTCOMES, SUMMARY
from examples.steps import StepFailed, command
from models.bundles.manifest import Manifest
from models.errors import BundleRefused, StoreError
from models.store.store import ModelStore
from schemas.validation import SpecError

HERE = Path(__file__).resolve().parent
JOB = HERE / "job.yaml"
MADE_BY = "loans-example.json"
# What a bundle says of a sample is made by these.
_BUNDLES = ("models/profiles", "models/publishing")
_CODE = ("bundles.py", "plan.py", "train.py", "job.yaml")


def fingerprint(data: Path) -> str:
    """A key that changes with the data and the code that makes versions of it; then everything is made again."""
    digest = hashlib.sha256(json.dumps(json.loads((data / SUMMARY).read_text("utf-8"))["files"]).encode())
    root = HERE.parents[1]
    bundles = [path for folder in _BUNDLES for path in sorted((root / folder).glob("*.py"))]
    for path in (*(HERE / name for name in _CODE), *bundles, root / "requirements.lock"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_made(data: Path, store: Path) -> bool:
    """Whether this code made the store from this data."""
    try:
        found = json.loads((store / MADE_BY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("fingerprint") == fingerprint(data)


def make_store(data: Path, store: Path) -> list[Manifest]:
    """Trains, publishes and releases into a new store; an older store is moved aside, never deleted.

    Raises:
        NothingToLearn: the data is too little for the plan.
        StepFailed: the training set cannot be made.
        StoreError, OSError: the store cannot be written.
    """
    part = store.with_name(f".{store.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="halflife-loans-") as folder:
        rows = read_training_set(_training_set(data, Path(folder)))
    target = ModelStore(str(part), MODEL)
    published = [publish_version(target, training, rows, data) for training in TRAININGS]
    publish_exported(target, trees=TRAININGS[0].version, golden=TRAININGS[1].version)
    _release(target)
    (part / MADE_BY).write_text(json.dumps({"fingerprint": fingerprint(data)}) + "\n", encoding="utf-8")
    if store.exists() and any(store.iterdir()):
        os.replace(store, store.with_name(f"{store.name}-before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"))
    os.replace(part, store)
    return published


def _training_set(data: Path, folder: Path) -> Path:
    """The features and outcomes of all applications, as the job itself would read them."""
    settings = {
        "events.uri": f"{data}/synthetic_car_loan_*.csv",
        "labels.uri": f"{data}/{OUTCOMES}",
        "sinks.dead_letters": f"{folder}/dead_letters",
    }
    arguments = [part for path, value in settings.items() for part in ("--set", f"{path}={value}")]
    command("features", "--job", str(JOB), "--labels", "--out", f"{folder}/rows", *arguments)
    return folder / "rows"


def _release(store: ModelStore) -> None:
    for planned in RELEASES:
        halflife.release(
            planned.champion,
            store=store.url,
            name=MODEL,
            shadows=planned.shadows,
            effective_from=planned.effective_from,
            salt=MODEL,
            reason=planned.reason,
            check=planned.champion != EXPORTED,  # someone was in a hurry: the job refuses it
            by=BY,
        )
    location = ["--store", store.url, "--model", MODEL]
    back = ["--from", ROLLBACK_FROM, "--reason", ROLLBACK_REASON, "--by", BY, "--json"]
    command("models", "rollback", *location, *back)


def report(published: list[Manifest]) -> str:
    """What was trained, for people."""
    lines = [
        f"version {each.version}: {each.scorer}, {each.training['parameters']['rows']:,} applications, AUC "
        f"{each.quality['auc']:.3f}; approves from {each.output.threshold} on: {each.quality['approved_share']:.0%}, "
        f"of which {each.quality['unpaid_among_approved']:.1%} were not repaid"
        for each in published
    ]
    return "\n".join([*lines, f"version {EXPORTED}: the trees of version 1 in the bundle of version 2"])


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 done, 1 failed, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m examples.loans.train", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/loans"), help="folder that prepare wrote")
    parser.add_argument("--store", type=Path, default=Path("data/loans/models"), help="model store")
    chosen = parser.parse_args(arguments)
    if not (chosen.data / SUMMARY).is_file():
        print(f"error: {chosen.data} holds no {SUMMARY}: run examples.loans.prepare first", file=sys.stderr)
        return 1
    if is_made(chosen.data, chosen.store):
        print(f"{chosen.store}: made from this data before; left as it is")
        return 0
    try:
        published = make_store(chosen.data, chosen.store)
    except (NothingToLearn, StepFailed, SpecError, BundleRefused, StoreError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(report(published))
    return 0


if __name__ == "__main__":
    sys.exit(main())
