"""The flights example on committed data: five whole days, and raw rows with difficult clock times."""

import json
import os
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd
import pytest

from examples.flights import prepare, source
from examples.flights.clock import UnknownAirport, scheduled_arrivals
from examples.flights.records import (
    UnexpectedData,
    arrival_table,
    count,
    departure_table,
    disagreeing_arrivals,
    with_instants,
)
from examples.packages import SourceUnavailable

DATA = Path(__file__).resolve().parents[1] / "data"
SLICE, RAW = DATA / "flights", DATA / "flights_raw"


def read(name: str) -> pd.DataFrame:
    with (SLICE / name).open("rb") as stream:
        return pd.DataFrame(list(fastavro.reader(stream)))


@pytest.fixture(scope="module")
def departures() -> pd.DataFrame:
    return read("departures-2013-01.avro")


@pytest.fixture(scope="module")
def arrivals() -> pd.DataFrame:
    return read("arrivals-2013-01.avro")


@pytest.fixture(scope="module")
def zones() -> dict[str, str]:
    return source.parse_zones(RAW / "airports.csv")


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return source.parse_flights(RAW / "flights.csv")


@pytest.fixture(scope="module")
def departed(raw: pd.DataFrame, zones: dict[str, str]) -> pd.DataFrame:
    return with_instants(raw, zones).set_index("id", drop=False).rename_axis(None)


def test_slice_is_what_its_summary_counts(departures: pd.DataFrame, arrivals: pd.DataFrame) -> None:
    counts = json.loads((SLICE / "flights.json").read_text())["counts"]
    assert counts["scheduled"] == 4332 == counts["cancelled"] + counts["departed"]
    assert counts["departed"] == 4301 == len(departures)
    assert counts["labelled"] == 4282 == len(arrivals)
    assert counts["unlabelled"] == 19 == counts["arrived_without_delay"] + counts["no_arrival"]


def test_ids_are_unique_and_labels_have_events(departures: pd.DataFrame, arrivals: pd.DataFrame) -> None:
    assert departures["id"].is_unique
    assert arrivals["id"].is_unique
    assert set(arrivals["id"]) < set(departures["id"])


def test_files_are_in_order_of_what_happened(departures: pd.DataFrame, arrivals: pd.DataFrame) -> None:
    assert departures["departed_at"].is_monotonic_increasing
    assert arrivals["landed_at"].is_monotonic_increasing


def test_every_flight_lands_after_it_departed(departures: pd.DataFrame, arrivals: pd.DataFrame) -> None:
    both = arrivals.merge(departures, on="id")
    assert (both["landed_at"] - both["departed_at"]).min() > pd.Timedelta(minutes=30)
    delays = (both["departed_at"] - both["scheduled_at"]).dt.total_seconds() / 60
    assert (delays == both["dep_delay"]).all()


def test_first_departure_is_that_of_the_data_set(departures: pd.DataFrame) -> None:
    first = departures.iloc[0].to_dict()
    # flights.csv: 2013-01-01, left 05:17 for 05:15, UA 1545 from EWR to IAH, due at 08:19 in Houston (UTC-6).
    assert first["id"] == "2013-01-01-UA-1545-EWR-IAH"
    assert str(first["departed_at"]) == "2013-01-01 10:17:00+00:00"
    assert str(first["scheduled_at"]) == "2013-01-01 10:15:00+00:00"
    assert (first["dep_delay"], first["distance"], first["sched_minutes"]) == (2.0, 1400.0, 244.0)
    assert (first["sched_dep_hour"], first["month"], first["weekday"]) == (5, 1, 2)


def test_departures_after_midnight_belong_to_the_next_day(departed: pd.DataFrame) -> None:
    left = departed["departed_at"].dt.tz_convert("America/New_York")
    next_day = left.dt.day != departed["day"]
    late, small_hours = departed["dep_delay"] > 0, departed["dep_time"] < departed["sched_dep_time"]
    assert (next_day == late & (small_hours | (departed["dep_time"] == 2400))).all()
    assert next_day.sum() == 13
    assert (left[next_day].dt.normalize() > departed["scheduled_at"][next_day]).all()
    assert departed.loc["2013-12-31-B6-108-JFK-PWM", "departed_at"] == pd.Timestamp("2014-01-01T05:26Z")


def test_time_of_2400_is_the_midnight_that_ends_the_day(departed: pd.DataFrame) -> None:
    at_midnight = departed[departed["dep_time"] == 2400]
    local = at_midnight["departed_at"].dt.tz_convert("America/New_York")
    assert len(at_midnight) == 3
    assert (local.dt.hour * 60 + local.dt.minute == 0).all()


@pytest.mark.parametrize(
    ("flight", "departed_at", "landed_at"),
    [
        # Left 00:53 EST, an hour before the change; arrived 05:04 in Aguadilla, which is UTC-4 all year.
        ("2013-03-09-B6-727-JFK-BQN", "2013-03-10T05:53Z", "2013-03-10T09:04Z"),
        # arr_time says 02:03, an hour that Florida's clocks left out that night: it was 03:03 there.
        ("2013-03-09-B6-35-JFK-PBI", "2013-03-10T04:06Z", "2013-03-10T07:03Z"),
        # Landed 01:14 in Los Angeles, which that night had twice: the first, 357 minutes after departure.
        ("2013-11-02-VX-413-JFK-LAX", "2013-11-03T02:17Z", "2013-11-03T08:14Z"),
    ],
)
def test_nights_when_the_clocks_change(
    departed: pd.DataFrame, flight: str, departed_at: str, landed_at: str
) -> None:
    assert departed.loc[flight, "departed_at"] == pd.Timestamp(departed_at)
    assert departed.loc[flight, "landed_at"] == pd.Timestamp(landed_at)


@pytest.mark.parametrize(("day", "hours"), [("2013-03-10", -4), ("2013-11-03", -5)])
def test_morning_after_a_change_has_the_new_offset(departed: pd.DataFrame, day: str, hours: int) -> None:
    rows = departed[departed["id"].str.startswith(day) & (departed["sched_dep_time"] == 600)]
    assert len(rows) > 5
    assert (rows["scheduled_at"] == pd.Timestamp(f"{day}T06:00Z") - pd.Timedelta(hours=hours)).all()


def test_only_an_hour_that_never_was_is_off_the_clock(departed: pd.DataFrame, zones: dict[str, str]) -> None:
    assert disagreeing_arrivals(departed, zones) == ["2013-03-09-B6-35-JFK-PBI"]


def test_cancelled_makes_no_event_and_diverted_no_label(raw: pd.DataFrame, departed: pd.DataFrame) -> None:
    counts = count(raw)
    assert (counts.cancelled, counts.unlabelled) == (1, 12)
    assert departure_table(departed).num_rows == counts.departed == counts.scheduled - 1
    assert arrival_table(departed).num_rows == counts.labelled == counts.departed - 12


def test_repeated_flights_are_refused(raw: pd.DataFrame, zones: dict[str, str]) -> None:
    with pytest.raises(UnexpectedData, match=r"1 of 295 flights, the first 2013-01-\S+: id repeats"):
        with_instants(pd.concat([raw, raw[raw["dep_time"].notna()].head(1)], ignore_index=True), zones)


def test_delay_that_contradicts_the_clock_is_refused(raw: pd.DataFrame, zones: dict[str, str]) -> None:
    wrong = raw.assign(dep_delay=raw["dep_delay"].where(raw.index != raw["dep_delay"].idxmax(), 5))
    message = r"1 of 294 flights, the first \S+: departure differs from dep_time"
    with pytest.raises(UnexpectedData, match=message):
        with_instants(wrong, zones)


def test_destination_without_a_zone_is_named(raw: pd.DataFrame) -> None:
    with pytest.raises(UnknownAirport, match=r"no time zone is known for .*BQN"):
        scheduled_arrivals(raw, {"IAH": "America/Chicago"})


def test_equal_rows_give_equal_bytes(departed: pd.DataFrame) -> None:
    first, second = ([*prepare.outputs(departed, (3,))] for _ in range(2))
    assert [prepare.container(one) for one in first] == [prepare.container(one) for one in second]
    assert [output.name for output in first] == ["departures-2013-03.avro", "arrivals-2013-03.avro"]


def test_months_hold_every_flight_once_the_last_night_in_december(departed: pd.DataFrame) -> None:
    files = {output.name: output.rows for output in prepare.outputs(departed, prepare.MONTHS)}
    left = sum(rows.num_rows for name, rows in files.items() if name.startswith("departures"))
    landed = sum(rows.num_rows for name, rows in files.items() if name.startswith("arrivals"))
    assert (left, landed) == (len(departed), departed["landed_at"].notna().sum())
    assert "2013-12-31-B6-108-JFK-PWM" in files["departures-2013-12.avro"]["id"].to_pylist()


def test_second_run_needs_no_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in SLICE.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    summary: dict[str, Any] = json.loads((SLICE / "flights.json").read_text())
    summary["prepared_by"] = prepare.fingerprint(small=True)
    (tmp_path / "flights.json").write_text(json.dumps(summary))
    assert prepare.prepare(tmp_path, small=True, cache=tmp_path / "none") == summary
    assert not (tmp_path / "none").exists()
    assert prepare.main(["--out", str(tmp_path), "--small"]) == 0
    assert "4,301 departed; 4,282 have an arrival delay, 19 were" in capsys.readouterr().out


def test_damaged_file_is_not_taken_for_prepared(tmp_path: Path) -> None:
    (tmp_path / "departures-2013-01.avro").write_bytes(b"damaged")
    summary = json.loads((SLICE / "flights.json").read_text())
    assert prepare.intact_files(tmp_path, summary, summary["prepared_by"]) == {}
    assert prepare.intact_files(SLICE, summary, "another") == {}
    assert len(prepare.intact_files(SLICE, summary, summary["prepared_by"])) == 2


def test_archive_with_another_hash_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / source.SDIST).write_bytes(b"not it")
    with pytest.raises(SourceUnavailable, match=r"not d9ef2f5.*delete it and run again"):
        source.fetch_sdist(tmp_path)


def test_unwritable_output_is_one_line_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert prepare.main(["--out", os.fspath(blocker / "data"), "--small"]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_small_slice_of_another_month_is_bad_usage() -> None:
    with pytest.raises(SystemExit) as stopped:
        prepare.main(["--small", "--month", "2"])
    assert stopped.value.code == 2
