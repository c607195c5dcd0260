"""Flights as records of the job: departures are events, arrivals their labels (see the `.avsc`)."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from examples.flights.clock import (
    NEW_YORK,
    actual_departures,
    clock_readings,
    minutes,
    scheduled_arrivals,
    scheduled_departures,
)

_TIME = pa.timestamp("us", tz="UTC")
DEPARTURE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("departed_at", _TIME, nullable=False),
        pa.field("scheduled_at", _TIME, nullable=False),
        pa.field("tailnum", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("dest", pa.string(), nullable=False),
        pa.field("carrier", pa.string(), nullable=False),
        pa.field("flight", pa.int32(), nullable=False),
        pa.field("dep_delay", pa.float64(), nullable=False),
        pa.field("distance", pa.float64(), nullable=False),
        pa.field("sched_minutes", pa.float64(), nullable=False),
        pa.field("sched_dep_hour", pa.int32(), nullable=False),
        pa.field("month", pa.int32(), nullable=False),
        pa.field("weekday", pa.int32(), nullable=False),
    ]
)
ARRIVAL_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("landed_at", _TIME, nullable=False),
        pa.field("arr_delay", pa.float64(), nullable=False),
    ]
)


class UnexpectedData(ValueError):
    """The flights do not have a property that later steps rely on."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Where scheduled flights went: `scheduled = cancelled + departed`, `departed = labelled + unlabelled`.

    `unlabelled` flights departed and have no arrival delay, which is how the data set marks diverted ones:
    `arrived_without_delay` have an arrival time all the same, `no_arrival` have none.
    """

    scheduled: int
    cancelled: int
    departed: int
    labelled: int
    unlabelled: int
    arrived_without_delay: int
    no_arrival: int


YEAR = Counts(336_776, 8_255, 328_521, 327_346, 1_175, 717, 458)


def count(flights: pd.DataFrame) -> Counts:
    """Counts of raw flights (columns of `flights.csv`)."""
    departed, labelled = flights["dep_time"].notna(), flights["arr_delay"].notna()
    arrived = flights["arr_time"].notna()
    return Counts(
        scheduled=len(flights),
        cancelled=int((~departed).sum()),
        departed=int(departed.sum()),
        labelled=int(labelled.sum()),
        unlabelled=int((departed & ~labelled).sum()),
        arrived_without_delay=int((departed & arrived & ~labelled).sum()),
        no_arrival=int((departed & ~arrived).sum()),
    )


def with_instants(flights: pd.DataFrame, zones: Mapping[str, str]) -> pd.DataFrame:
    """The flights that departed, in order of departure, with `id` and the instants of the four times.

    Adds `id`, `scheduled_at`, `departed_at`, `scheduled_arrival_at` and `landed_at` (null without an arrival
    delay). Raises UnexpectedData where ids repeat, a departure's clock does not read `dep_time`, or a flight
    lands before it could have flown.
    """
    departed = flights[flights["dep_time"].notna()].copy()
    departed["id"] = _ids(departed)
    departed["scheduled_at"] = scheduled_departures(departed)
    departed["departed_at"] = actual_departures(departed)
    departed["scheduled_arrival_at"] = scheduled_arrivals(departed, zones)
    delays = departed["arr_delay"].dropna()
    departed["landed_at"] = departed.loc[delays.index, "scheduled_arrival_at"] + minutes(delays)
    _check(departed)
    return departed.sort_values(["departed_at", "id"], ignore_index=True)


def _ids(flights: pd.DataFrame) -> pd.Series:
    date = (flights["year"] * 10_000 + flights["month"] * 100 + flights["day"]).astype("str")
    date = date.str[:4] + "-" + date.str[4:6] + "-" + date.str[6:]
    number = flights["flight"].astype("str")
    return date + "-" + flights["carrier"] + "-" + number + "-" + flights["origin"] + "-" + flights["dest"]


def _check(departed: pd.DataFrame) -> None:
    repeated = departed["id"].duplicated()
    if repeated.any():
        raise UnexpectedData(f"{_first(departed, repeated)} id repeats")
    new_york = pd.Series(NEW_YORK, index=departed.index)
    wrong = clock_readings(departed["departed_at"], new_york) != departed["dep_time"] % 2400
    if wrong.any():
        raise UnexpectedData(f"{_first(departed, wrong)} departure differs from dep_time")
    flown = departed["landed_at"] - departed["departed_at"]
    early = flown < pd.to_timedelta(departed["air_time"], unit="min")
    if early.any():
        raise UnexpectedData(f"{_first(departed, early)} arrival comes before its air time has passed")


def _first(departed: pd.DataFrame, wrong: pd.Series) -> str:
    return f"{int(wrong.sum())} of {len(wrong)} flights, the first {departed['id'][wrong].iloc[0]}:"


def disagreeing_arrivals(departed: pd.DataFrame, zones: Mapping[str, str]) -> list[str]:
    """Ids of labelled flights whose `landed_at` is not what `arr_time` shows on the destination's clock."""
    landed = departed[departed["landed_at"].notna()]
    shown = clock_readings(landed["landed_at"], landed["dest"].map(zones))
    return sorted(landed["id"][shown != landed["arr_time"] % 2400])


def departure_table(departed: pd.DataFrame) -> pa.Table:
    """Departures under `DEPARTURE_SCHEMA` from rows of `with_instants`, in their order."""
    local = departed["scheduled_at"].dt.tz_convert(NEW_YORK).dt
    planned = departed["scheduled_arrival_at"] - departed["scheduled_at"]
    derived = {"sched_minutes": planned.dt.total_seconds() / 60, "sched_dep_hour": local.hour}
    derived |= {"month": local.month, "weekday": local.day_of_week + 1}
    return _table(departed.assign(**derived), DEPARTURE_SCHEMA)


def arrival_table(departed: pd.DataFrame) -> pa.Table:
    """Arrivals under `ARRIVAL_SCHEMA` from rows of `with_instants`, in order of landing."""
    landed = departed[departed["landed_at"].notna()]
    return _table(landed.sort_values(["landed_at", "id"]), ARRIVAL_SCHEMA)


def _table(rows: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = [
        # Arrow reads a zoned column through an attribute that pandas 3.1 deprecates.
        pa.array(rows[field.name].dt.tz_convert(None).to_numpy()).cast(_TIME)
        if field.type == _TIME
        else pa.array(rows[field.name].to_numpy(), field.type, from_pandas=True)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
