"""What is kept for one key, and what of each event: the plan of its features' tiles (docs/design.md §7)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas import batches
from schemas.expressions.evaluation import is_true
from schemas.job import FeatureSpec
from transforms.features.added_aggregates import aggregate_of
from transforms.features.tile_tables import FIRST, LASTING, SUMS

ALL_EVENTS = ""  # the pseudo column of `count` without a column
KEY, VALUE = "key", "v:"  # columns of observations: the key, and the prefix of the values read
OBSERVED = (batches.EVENT_ID, batches.EVENT_TIME, batches.ROW, KEY)  # what every observation has
# A stream keeps raw events for at most this much event time, and at most this many partial aggregates make one.
_GRAIN_US = 5_000_000
_MOST_PARTS = 60


class Source(NamedTuple):
    """What tiles are made of: the values of a column, or of none all events, where a condition is true."""

    column: str | None
    where: str | None

    @property
    def name(self) -> str:
        """What it is called in tiles and in state; no event column is called so where there is a condition."""
        return (self.column or ALL_EVENTS) if self.where is None else f"{self.column or ALL_EVENTS}\twhere {self.where}"


def source_of(feature: FeatureSpec) -> Source:
    """What a feature's tiles are made of: features of equal columns and conditions share them."""
    return Source(feature.column, feature.where)


class Kept(NamedTuple):
    """A table of what is kept of a source.

    `tiles`: what most aggregates are made of. `first`: tiles whose last event is the earliest. `counts`: how often each
    value occurs. `sums`: exact sums, of values and times or, with a half-life, of what has decayed. `lasting`: nothing
    is dropped, for windows that begin with the first event.
    """

    source: Source
    form: Literal["tiles", "first", "counts", "sums"]
    half_life_us: int | None = None
    lasting: bool = False

    @property
    def name(self) -> str:
        """What the table is called in state."""
        decay = "" if self.half_life_us is None else f" {self.half_life_us}"
        suffix = {"tiles": "", "counts": "", "first": FIRST, "sums": SUMS + decay}[self.form]
        return f"{self.source.name}{LASTING if self.lasting else ''}{suffix}"

    @property
    def in_values(self) -> bool:
        """Whether it is among the `values` of tables, and not among their `tiles`."""
        return self.form in ("counts", "sums")


def kept_for(feature: FeatureSpec) -> Kept:
    """The table that answers a feature."""
    aggregate = aggregate_of(feature.aggregate)
    form = "counts" if aggregate.holistic else aggregate.form
    return Kept(source_of(feature), form, feature.half_life_us, lasting=feature.size_us is None)


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What is kept for one key: its features, tile width, and the columns read, with the tables made of each of them.

    `grains_us` are the widths of the grains that make up a tile, finest first; each divides the next and the tile.
    """

    key: str | tuple[str, ...]
    features: tuple[FeatureSpec, ...]
    tile_us: int
    grains_us: tuple[int, ...]
    sources: tuple[Source, ...]
    kept: tuple[Kept, ...]
    longest_us: int

    @property
    def widths_us(self) -> tuple[int, ...]:
        """The widths that events are summed to, one after the other: the grains' and the tile's."""
        return (*self.grains_us, self.tile_us)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(source.name for source in self.sources)

    @property
    def tile_names(self) -> tuple[str, ...]:
        """The names of the tables of tiles."""
        return tuple(each.name for each in self.kept if not each.in_values)

    @property
    def lasting(self) -> frozenset[str]:
        """The names of the tables of which nothing is dropped: what is older than all other windows is one tile."""
        return frozenset(each.name for each in self.kept if each.lasting)

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the tables of values and sums."""
        return tuple(each.name for each in self.kept if each.in_values)

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The names of the sources in observations; `count` without a column and a condition needs none."""
        return tuple(VALUE + name for name in self.columns if name != ALL_EVENTS)


def plan_key(features: Sequence[FeatureSpec], key: str | tuple[str, ...]) -> KeyPlan:
    """The plan for the features of `key`; the tile is the greatest common divisor of their sizes and steps.

    Counts over 10 and 15 minutes, every 5 minutes, are made of tiles of 5 minutes, and those of grains of 5 seconds:

    >>> counts = [FeatureSpec(f"n_{m}m", "origin", None, "count", m * 60_000_000, 300_000_000) for m in (10, 15)]
    >>> plan = plan_key(counts, "origin")
    >>> plan.tile_us, plan.longest_us, plan.grains_us
    (300000000, 900000000, (5000000,))
    """
    own = tuple(feature for feature in features if feature.key == key)
    sizes = [feature.size_us for feature in own if feature.size_us is not None]
    steps = [feature.every_us for feature in own]
    tile_us = math.gcd(*sizes, *steps)
    sources = tuple(dict.fromkeys(map(source_of, own)))
    # Each source has tiles, whatever it is read for: they say which keys have events, and when.
    kept = dict.fromkeys([*(Kept(source, "tiles") for source in sources), *map(kept_for, own)])
    longest_us = max(sizes if len(sizes) == len(own) else [*sizes, *steps])
    return KeyPlan(key, own, tile_us, _grains_us(tile_us), sources, tuple(kept), longest_us)


def _grains_us(tile_us: int) -> tuple[int, ...]:
    """Widths below a tile's, in whole milliseconds, the resolution of some runners' timers: few steps, each with the
    fewest parts that lead to a grain that is short enough."""
    widths = [tile_us]
    while widths[0] > _GRAIN_US:
        divisors = [parts for parts in range(2, _MOST_PARTS + 1) if widths[0] % (parts * 1000) == 0]
        if not divisors:  # a width with large prime factors only is not divided
            break
        enough = [parts for parts in divisors if widths[0] // parts <= _GRAIN_US]
        widths.insert(0, widths[0] // (enough[0] if enough else divisors[-1]))
    return tuple(widths[:-1])


def observations(plan: KeyPlan, events: pa.RecordBatch) -> pa.RecordBatch:
    """What a key's features need of each event: id, time, row number, `key` as text (or null), `v:` columns."""
    arrays = [
        events.column(batches.EVENT_ID),
        events.column(batches.EVENT_TIME),
        events.column(batches.ROW),
        batches.keys_of(events, plan.key),
        *_observed(plan, events),
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[*OBSERVED, *plan.value_columns])


def _observed(plan: KeyPlan, events: pa.RecordBatch) -> list[pa.Array]:
    """The values of each source but that of all events: null where its condition is not true."""
    conditions = dict.fromkeys(source.where for source in plan.sources if source.where is not None)
    true_for = {where: is_true(where, events) for where in conditions}
    found = []
    for source in plan.sources:
        if source.where is None:
            found += [] if source.column is None else [events.column(source.column)]
        else:
            values = pa.scalar(True) if source.column is None else events.column(source.column)
            found.append(pc.if_else(true_for[source.where], values, pa.scalar(None, values.type)))
    return found
