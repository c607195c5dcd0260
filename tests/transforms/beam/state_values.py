"""Every cell of keyed state and every other coder of what a savepoint holds, with a real value of each.

Run as a module, it prints them encoded, in the form of tests/data/state/present.json.
"""

import base64
import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import Coder, registry
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.userstate import get_dofn_specs

import pipeline
import transforms
from models.admission.watcher import Progress
from models.releases.release import AdmittedRelease, Challenger, Release
from pipeline.endpoints.kafka.address import kafka_address
from pipeline.endpoints.kafka.progress import TopicStretch, TopicWatermark, TopicWatermarks
from schemas import batches
from schemas.job import FeatureSpec, TableRelease
from tests.transforms.quality.worlds import CHAMPION, answers, labels
from transforms.arrivals.seen_ids import run_of
from transforms.drift.drift_groups import GroupCounts
from transforms.features.feature_state import Grains, Layout
from transforms.features.join_features import Joins
from transforms.features.key_plans import KEY, KeyPlan, plan_key
from transforms.features.sums.totals import Totals
from transforms.features.tile_tables import TileTables
from transforms.features.tiles import fold, fold_grains
from transforms.features.waiting import Waits
from transforms.flow.coders import encode_batch
from transforms.lookups.watch_tables import ReleasedTable, TableProgress
from transforms.quality.let_go import LetGo
from transforms.quality.merge_panes import Emitted
from transforms.quality.sums.group_sums import Beside, sums_of

MINUTE = 60_000_000
AGGREGATES = (("mean", "x"), ("distinct", "x"), ("quantile", "x"), ("last", "t"), ("top", "t"), ("last", "b"))
RUN = "01k0000000000000000000run1"
RELEASE = Release(
    2, "late", MINUTE, "v1", (Challenger("v2", 0.25),), ("v3",), salt="s", by="ann", at_us=5, reason="first",
    evidence="e", previous="f" * 64, digests={"v1": "d" * 64}, signature={"key": "k", "value": 2**100},
)  # fmt: skip
TOPIC = kafka_address("kafka://localhost:9092/departures?group=g&fetch.min.bytes=1", "events.source")


def plan() -> KeyPlan:
    """The plan of a key with features of each kind of aggregate and column."""
    features = (FeatureSpec(a + c, "k", c, a, 10 * MINUTE, 5 * MINUTE) for a, c in AGGREGATES)
    return plan_key((FeatureSpec("n", "k", None, "count", 10 * MINUTE, 5 * MINUTE), *features), "k")


def observed(keys: list[str | None], numbers: list[float | None], at_us: list[int]) -> pa.RecordBatch:
    """Observations of one event each: key, value, time in microseconds."""
    texts = [None if number is None else f"text {number}" for number in numbers]
    columns: dict[str, Any] = {
        batches.EVENT_ID: pa.array([f"e{number}" for number in range(len(keys))]),
        batches.EVENT_TIME: pa.array(at_us, batches.TIME_TYPE),
        batches.ROW: pa.array(range(len(keys)), pa.int64()),
        KEY: pa.array(keys, pa.string()),
        "v:x": pa.array(numbers, pa.float64()),
        "v:t": pa.array(texts, pa.string()),
        "v:b": pa.array([None if number is None else number > 0 for number in numbers], pa.bool_()),
    }
    return pa.RecordBatch.from_pydict(columns)


ROWS = observed(["u", "u", None, "w"], [1.0, None, 3.0, 4.0], [0, 1, 2, MINUTE])
WAITS = Waits((1, 2, 3), (4, 5), 6)


def grains(rows: pa.RecordBatch) -> TileTables:
    found = fold_grains(plan(), rows, 100)
    assert found is not None
    return found


SUMS = sums_of(
    Beside(np.array([0, 1]), np.array([0.25, 0.75]), pa.array([True, None]), {"origin": pa.array(["JFK", None])}),
    CHAMPION,
    MINUTE,
)
VALUES: dict[str, Any] = {
    "progress": Progress(3, (RELEASE,), frozenset({2}), frozenset({4})),
    "run": RUN,
    "silences": 2,
    "releases": AdmittedRelease(RELEASE, {"v1": "d" * 64}, RUN),
    "tables": ReleasedTable("plane", TableRelease(2, MINUTE, "v2", "d" * 64, "ann", "first")),
    "tables_seen": TableProgress(3, (5, 7)),
    "seen": run_of(pa.array(["a", "b"]), np.array([1, 2])),
    "tiles": (Layout(MINUTE, 8), MINUTE, fold(plan(), ROWS, 100)),
    "grains": Grains(0, grains(ROWS)),
    "waits": WAITS,
    "joins": Joins((7, 8), (1, 0), WAITS),
    "open_rows": ROWS,
    "parts": (1, encode_batch(ROWS)),
    "waiting": encode_batch(ROWS),
    "topic": TOPIC,
    "stretch": TopicStretch({0: 17, 1: 4}, None),
    "estimator": TopicWatermark((5, {0: 6})).get_estimator_state(),
    "counts": GroupCounts(3, (("origin", "JFK"), ("origin", None)), np.array([0, 4]), np.array([7, 1])),
    "looked_at": MINUTE,
    "answers": answers(CHAMPION, ["e0", "e1"], [0, 1], [0.25, 0.75]),
    "labels": labels(["e0", "e1"], [5, 6], [True, None]),
    "let_go": LetGo(MINUTE, bytes(range(16)), bytes(16)),
    "windows": {0: 1, MINUTE: 0},
    "panes": ("0 {}", 1, SUMS),
    "emitted": Emitted(2, 1, 8),
    **dict.fromkeys(("folds_at", "watermark", "greatest", "pending", "numbered", "closed", "open", "known"), MINUTE),
}
_SAME = {"seen_before": "seen", **{f"parts_{bag}": "parts" for bag in ("near", "middle", "far")}}
_SAME |= {f"waiting_{bag}": "open_rows" for bag in ("near", "middle", "far")}


def value_of(name: str) -> Any:
    """A real value of the cell with this name."""
    return VALUES[_SAME.get(name, name.partition(" of ")[0])]


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the last bit and in the types of their columns."""
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.tobytes() == other.tobytes())
    if isinstance(one, pa.Array):
        return bool(one.type == other.type and one.equals(other))
    if isinstance(one, Totals) and isinstance(other, Totals):
        return is_same((one.limbs, one.digits), (other.limbs, other.digits))
    if isinstance(one, tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(is_same(value, other[name]) for name, value in one.items())
    return bool(one == other)


def coders() -> dict[str, Coder]:
    """The coder of each cell of state, of what a reader of a topic leaves in a checkpoint, and of drift counts."""
    kinds = [kind for room in (transforms, pipeline) for kind in _do_fns(room)]
    specs = [spec for kind in kinds for spec in get_dofn_specs(kind.__new__(kind))[0]]
    reading = [kind.__new__(kind) for kind in kinds if issubclass(kind, RestrictionProvider)]
    stretches = {f"stretch of {type(fn).__qualname__}": fn.restriction_coder() for fn in reading}
    estimator = TopicWatermarks().estimator_state_coder()  # type: ignore[no-untyped-call]  # Beam's has no types
    registered = {"topic": TOPIC, "counts": VALUES["counts"]}
    beside = {name: registry.get_coder(type(value)) for name, value in registered.items()} | {"estimator": estimator}
    found = {spec.name: spec.coder for spec in specs} | stretches | beside
    return dict(sorted(found.items()))  # specs come in sets: all processes of a test run must see one order


def _do_fns(room: ModuleType) -> Iterator[Any]:
    for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if not found.name.endswith("__main__"):
            for _, kind in inspect.getmembers(importlib.import_module(found.name), inspect.isclass):
                if issubclass(kind, beam.DoFn):
                    yield kind


if __name__ == "__main__":
    written = {name: base64.b64encode(coder.encode(value_of(name))).decode() for name, coder in coders().items()}
    print(json.dumps(written, indent=1))
