"""When flights left and arrived, as UTC instants, from the clock readings and delays of the data set.

`time_hour` is the scheduled departure's hour in UTC and `minute` its minute; delays are minutes that passed.
Clock readings (`dep_time`, `sched_arr_time`, …) are HHMM of the airport's own clock, 2400 being midnight, and
name no day: an arrival follows from them only together with the destination's time zone and the shortest flight.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

NEW_YORK = "America/New_York"
# The shortest scheduled flight of the year takes 50 minutes from gate to gate, the longest 700.
_SHORTEST = pd.Timedelta(minutes=30)


class UnknownAirport(ValueError):
    """A destination has no time zone."""


def minutes(values: pd.Series) -> pd.Series:
    """Whole minutes (any number type, no nulls) as microsecond durations."""
    durations = (values.to_numpy("int64") * 60_000_000).astype("timedelta64[us]")
    return pd.Series(durations, index=values.index)


def scheduled_departures(flights: pd.DataFrame) -> pd.Series:
    """Scheduled departure instants (UTC, microseconds)."""
    return flights["time_hour"].astype("datetime64[us, UTC]") + minutes(flights["minute"])


def actual_departures(flights: pd.DataFrame) -> pd.Series:
    """Actual departure instants (UTC) of flights that departed: the scheduled instant plus the delay.

    So departures after midnight and across a change of the clocks are right without reading `dep_time`.
    """
    return scheduled_departures(flights) + minutes(flights["dep_delay"])


def scheduled_arrivals(flights: pd.DataFrame, zones: Mapping[str, str]) -> pd.Series:
    """Scheduled arrival instants (UTC): when the destination's clock shows them first after departure.

    Raises UnknownAirport for a destination that is not in `zones` (airport code → IANA zone).
    """
    departures = scheduled_departures(flights)
    zone_of = flights["dest"].map(zones)
    if zone_of.isna().any():
        unknown = sorted(set(flights["dest"][zone_of.isna()]))
        raise UnknownAirport(f"no time zone is known for {', '.join(unknown)}")
    arrivals = pd.Series(pd.NaT, index=flights.index, dtype="datetime64[us, UTC]")
    for zone, rows in departures.groupby(zone_of):
        arrivals[rows.index] = _next_reading(rows, flights.loc[rows.index, "sched_arr_time"], str(zone))
    return arrivals


def _next_reading(after: pd.Series, reading: pd.Series, zone: str) -> pd.Series:
    midnight = after.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    same_day, next_day = (
        (midnight + minutes(reading // 100 * 60 + reading % 100 + day * 24 * 60))
        # In an hour that the clock shows twice the first is meant; a time that the clock skips is read as the end of
        # the skipped hour.
        .dt.tz_localize(zone, ambiguous=np.ones(len(after), dtype=bool), nonexistent="shift_forward")
        .dt.tz_convert("UTC")
        for day in (0, 1)
    )
    arrival: pd.Series = same_day.where(same_day - after >= _SHORTEST, next_day)
    return arrival


def clock_readings(instants: pd.Series, zones: pd.Series) -> pd.Series:
    """What a clock in each row's zone (IANA name) shows at each instant: HHMM from 0 to 2359."""
    readings = pd.Series(0, index=instants.index, dtype="int64")
    for zone, rows in instants.groupby(zones):
        local = rows.dt.tz_convert(str(zone)).dt
        readings[rows.index] = local.hour * 100 + local.minute
    return readings
