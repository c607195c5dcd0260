"""Makes, once before anything is measured, copies of the input, the model, its bundle and release."""

import json
import pickle
import shutil
from pathlib import Path

import fastavro
import skops.io
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import workload as wl
from benchmarks.peers import bare_loop
from models.store.store import ModelStore
from pipeline.spec.job import parse_job
from schemas.score_ids import definitions_digest, definitions_text

MODEL, VERSION = "flight-delay", "1"
LATE_MINUTES = 15.0


def prepare(data: Path, work: Path, spans: list[int]) -> None:
    """Fills `work`: `input-<months>/` for each span, `bundle/`, `model.pickle`, `store/`, `prepared.json`.

    `prepared.json` holds the counted events of each span and the identity of the published version.
    `data` must have a file for each month of the longest span.
    """
    events = {}
    for months in spans:
        folder = work / f"input-{months}"
        folder.mkdir(parents=True)
        for path in _months(data, months):
            shutil.copy(path, folder)
        events[months] = sum(_count(path) for path in folder.iterdir())
    model = fit([str(path) for path in _months(data, 1)])
    bundle = work / "bundle"
    bundle.mkdir()
    skops.io.dump(model, bundle / "model.skops")
    (work / "model.pickle").write_bytes(pickle.dumps(model))
    store = ModelStore(str(work / "store"), MODEL)
    manifest = store.publish(bundle, _manifest())
    release = store.append_release(champion=VERSION, effective_from_us=0, by="benchmarks", reason="benchmark")
    identity = {"model": MODEL, "version": VERSION, "release": release.sequence, "digest": manifest.digest}
    identity["definitions"] = _definitions()
    (work / "prepared.json").write_text(json.dumps({"events": events, "identity": identity}))


def fit(paths: list[str]) -> Pipeline:
    """A logistic regression of "departed more than 15 minutes late" on the benchmark's features.

    Its accuracy is of no interest here; its cost is that of any scaled linear scikit-learn pipeline.
    """
    events = bare_loop.read_events(paths)
    late = events.column(wl.VALUE).to_numpy(zero_copy_only=False) > LATE_MINUTES
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(bare_loop.features(events), late)


def _months(data: Path, months: int) -> list[Path]:
    return sorted(data.glob("departures-2013-*.avro"))[:months]


def _count(path: Path) -> int:
    with open(path, "rb") as stream:
        return sum(block.num_records for block in fastavro.block_reader(stream))


def _definitions() -> str:
    """The digest of what the windowed features of the measured job mean."""
    document = yaml.safe_load((wl.ROOT / "benchmarks" / "flights.yaml").read_text(encoding="utf-8"))
    columns = dict.fromkeys(wl.KEYS, "string") | dict.fromkeys(wl.PLAIN, "number")
    return definitions_digest(definitions_text(parse_job(document, columns).features, wl.FEATURES))


def _manifest() -> dict[str, object]:
    integers = {"sched_dep_hour"}
    inputs = [
        {"name": name, "type": "integer" if name in integers else "number", "nullable": False, "default": 0}
        for name in wl.FEATURES
    ]
    return {
        "model": MODEL,
        "version": VERSION,
        "scorer": "sklearn",
        "inputs": inputs,
        "output": {"kind": "probability"},
        "training": {"trained_at": "2014-01-01T00:00:00Z"},
        "created_by": "benchmarks",
    }
