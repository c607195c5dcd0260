"""Real flights, a store of linear models and a job over them: the basis of the tests of the whole job."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pandas as pd
import yaml

from models.releases.release import Challenger
from models.store.store import ModelStore
from pipeline.command_line.options import parse_run_options
from pipeline.run import Prepared, execute, prepare
from tests.reference.reference import microseconds

AGGREGATES = (
    *("count", "sum", "mean", "min", "max", "std", "last", "distinct", "quantile", "top"),
    *("median", "mode_share", "variance", "rate", "time_since_last"),
)
# By key: size and step of half of the features, and of the other half: of those no size is a multiple of its step.
WINDOWS = {
    "origin": ("1h", "15m", "50m", "20m"),
    "dest": ("6h", "30m", "5h", "2h"),
    "carrier": ("3h", "20m", "2h", "45m"),
}
TEXTS = {"distinct": "dest", "top": "carrier"}
MEANS = {"dep_delay": 12.0, "distance": 1000.0, "origin_mean": 10.0, "dest_max": 60.0, "carrier_std": 30.0}
SCALES = {"dep_delay": 40.0, "distance": 700.0, "dest_max": 90.0, "carrier_std": 25.0}
CARRIERS = {"UA": 0.2, "B6": -0.1, "DL": 0.05}
INTERCEPT = -0.5


def windowed() -> list[dict[str, Any]]:
    """All aggregates for each of the three keys, in the form of a job spec."""
    features = []
    for key, (size, every, odd_size, odd_every) in WINDOWS.items():
        for index, aggregate in enumerate(AGGREGATES):
            feature = {"name": f"{key}_{aggregate}", "key": key, "aggregate": aggregate}
            feature |= {"size": odd_size, "every": odd_every} if index % 2 else {"size": size, "every": every}
            feature |= {} if aggregate == "count" else {"column": TEXTS.get(aggregate, "dep_delay")}
            features.append(feature | ({"q": 0.9} if aggregate == "quantile" else {}))
    return features


NAMES = [feature["name"] for feature in windowed()]
TOPS = [name for name in NAMES if name.endswith("_top")]
# The first version reads every windowed feature, so that its receipts hold them all.
COEFFICIENTS = {
    "v1": {"dep_delay": 0.9, **{name: 0.001 * index for index, name in enumerate(NAMES) if name not in TOPS}},
    "v2": {"dep_delay": 0.8, "distance": -0.1, "origin_count": 0.2},
    "v3": {"dep_delay": 1.1, "carrier_quantile": 0.2, "dest_max": -0.1},
}
CATEGORIES: dict[str, dict[str, dict[str, float]]] = {
    "v1": dict.fromkeys(TOPS, CARRIERS),
    "v2": {},
    "v3": {"origin_top": CARRIERS},
}


def input_of(name: str) -> dict[str, Any]:
    """The manifest's entry of a feature; all may be null."""
    kinds = {"count": "integer", "distinct": "integer", "top": "string"}
    return {"name": name, "type": kinds.get(name.split("_")[-1], "number"), "nullable": True}


def publish(store: Path) -> ModelStore:
    """Publishes the three versions; a number that is null counts as its mean."""
    opened = ModelStore(f"file://{store}", "flight-delay")
    for version, coefficients in COEFFICIENTS.items():
        terms = {"intercept": INTERCEPT, "coefficients": coefficients, "categories": CATEGORIES[version]}
        terms["means"] = {name: MEANS.get(name, 0.0) for name in coefficients}
        terms["scales"] = {name: SCALES.get(name, 1.0) for name in coefficients}
        manifest: dict[str, Any] = {
            "version": version,
            "scorer": "linear",
            "linear": terms,
            "output": {"kind": "probability"},
        }
        manifest["inputs"] = [input_of(name) for name in (*coefficients, *CATEGORIES[version])]
        folder = store / "drafts" / version
        folder.mkdir(parents=True)
        training = {"trained_at": "2012-12-01T00:00:00Z"}
        opened.publish(folder, {**manifest, "training": training, "created_by": "tests"})
    return opened


def linear_score(version: str, row: dict[str, Any]) -> float:
    """The model's formula in plain Python, from the features of one event."""
    total = INTERCEPT
    for name, coefficient in COEFFICIENTS[version].items():
        value, mean = row[name], MEANS.get(name, 0.0)
        total += 0.0 if value is None else coefficient * (value - mean) / SCALES.get(name, 1.0)
    for name, listed in CATEGORIES[version].items():
        total += listed.get(row[name], 0.0)
    return 1 / (1 + math.exp(-total))


def release(store: ModelStore, first_us: int, last_us: int) -> list[dict[str, Any]]:
    """Champion, shadow, canaries and promotions spread over the time from the first to the last event."""
    canary, half = (Challenger("v2", 0.1),), (Challenger("v1", 0.3), Challenger("v2", 0.2))
    entries: list[tuple[float, str, Sequence[Challenger], Sequence[str], str]] = [
        (0.1, "v1", (), (), "event_id"),  # the first release also serves the events before it
        (0.2, "v1", (), ("v2",), "event_id"),
        (0.45, "v1", canary, (), "event_id"),
        (0.6, "v3", canary, ("v1",), "subject"),
        (0.8, "v3", half, (), "origin"),
        (0.35, "v1", (), ("v3", "v2"), "event_id"),  # written last, in force from the middle on
        (0.45, "v1", canary, ("v3",), "event_id"),  # at the same time as an earlier one: the greater sequence serves
    ]
    documents = []
    for share, champion, challengers, shadows, split_on in entries:
        at_us = first_us + int(share * (last_us - first_us))
        made = store.append_release(
            champion=champion, effective_from_us=at_us, by="tests", challengers=challengers, shadows=shadows,
            split_on=split_on, salt=f"salt {share}",
        )  # fmt: skip
        shares = [{"version": entry.version, "share": entry.share} for entry in challengers]
        documents.append({
            "sequence": made.sequence, "effective_from": pd.Timestamp(at_us, unit="us", tz="UTC"), "champion": champion,
            "challengers": shares, "shadows": list(shadows), "split_on": split_on, "salt": made.salt,
        })  # fmt: skip
    return documents


def read_events(paths: Iterable[Path]) -> pd.DataFrame:
    """The flights of Avro files in their order."""
    rows: list[Any] = []
    for path in paths:
        with path.open("rb") as stream:
            rows += fastavro.reader(stream)
    return pd.DataFrame(rows)


class World(NamedTuple):
    """A folder with a store and its timeline, made for the events given."""

    folder: Path
    store: ModelStore
    releases: list[dict[str, Any]]
    events: pd.DataFrame


def world(folder: Path, events: pd.DataFrame) -> World:
    """Publishes and releases in `folder`."""
    store = publish(folder / "models")
    times = microseconds(events["departed_at"])
    return World(folder, store, release(store, int(times.min()), int(times.max())), events)


Change = Callable[[dict[str, Any]], None]


def prepared(made: World, uri: str, name: str, change: Change | None = None) -> Prepared:
    """The job over the files of `uri`, with its sinks in the folder `name`."""
    sinks = {sink: str(made.folder / name / sink) for sink in ("scores", "audit", "drift", "dead_letters")}
    document: dict[str, Any] = {
        "job": "flights",
        "events": {"uri": uri, "format": "avro", "event_id": "id", "event_time": "departed_at", "subject": "tailnum"},
        "features": ["dep_delay", "distance", *windowed()],
        "model": {"name": "flight-delay", "store": str(made.folder / "models")},
        "drift": {"window": "1d"},
        "sinks": sinks,
    }
    if change is not None:
        change(document)
    path = made.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return prepare(parse_run_options(["--job", str(path)], "tests"))


class Ran(NamedTuple):
    """What a run left: its summary and the records of its sinks."""

    summary: dict[str, Any]
    scores: list[dict[str, Any]]
    receipts: list[dict[str, Any]]

    @property
    def pairs(self) -> set[tuple[str, float]]:
        """The ids and scores: a set that no order or size of bundles may change."""
        return {(record["score_id"], record["score"]) for record in self.scores}


def records(folder: Path) -> list[dict[str, Any]]:
    """All records of the Avro files in a folder."""
    found: list[Any] = []
    for path in sorted(folder.glob("*.avro")):
        with path.open("rb") as stream:
            found += fastavro.reader(stream)
    return found


def run(made: World, uri: str, name: str, change: Change | None = None) -> Ran:
    """Runs the job with its real source and sinks; `change` alters its spec first."""
    summary = execute(prepared(made, uri, name, change), [], time.time())
    out = made.folder / name
    return Ran(summary, records(out / "scores"), records(out / "audit" / "receipts"))
