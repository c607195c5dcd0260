"""What the three trainers have in common: the columns they read, as manifests describe them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from schemas.columns import ARROW_TYPES

NUMBERS = (
    "dep_delay",
    "distance",
    "sched_dep_hour",
    "origin_departures_1h",
    "origin_delay_mean_1h",
    "origin_delay_std_3h",
    "origin_delay_p90_1h",
    "dest_delay_mean_6h",
    "dest_delay_max_24h",
    "dest_delay_last_24h",
    "carrier_delay_sum_3h",
    "carrier_delay_min_3h",
    "carrier_delay_mean_24h",
)
TEXTS = ("carrier",)
# Known for every flight; a window without history gives null for everything but a count.
_NEVER_NULL = frozenset({"dep_delay", "distance", "sched_dep_hour", "origin_departures_1h", "carrier"})
_INTEGERS = frozenset({"sched_dep_hour", "origin_departures_1h"})
SEED = 20130101


class Fitted(NamedTuple):
    """A fitted model on disk: what its manifest says of it beyond inputs and training data."""

    scorer: str
    hyperparameters: Mapping[str, Any]
    linear: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] | None = None


class Trainer(Protocol):
    """Fits on rows of `training_set.labelled` and writes the payload into an empty folder."""

    def __call__(self, rows: pa.Table, folder: Path) -> Fitted: ...


def input_documents(names: Sequence[str] = (*NUMBERS, *TEXTS)) -> list[dict[str, Any]]:
    """The manifest's `inputs` for columns of the training set."""
    return [{"name": name, "type": _type_of(name), "nullable": name not in _NEVER_NULL} for name in names]


def _type_of(name: str) -> str:
    return "string" if name in TEXTS else "integer" if name in _INTEGERS else "number"


def inputs_of(rows: pa.Table, names: Sequence[str] = (*NUMBERS, *TEXTS)) -> pa.RecordBatch:
    """The columns as the scorer will get them: the manifest's order and Arrow types."""
    arrays = [rows[name].combine_chunks().cast(ARROW_TYPES[_type_of(name)]) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))
