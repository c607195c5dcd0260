"""What passes as the time of an event, and epochs in another unit than the spec says."""

from typing import Any

import pytest

from tests.pipeline.jobs.flows import Flow, container, json_lines, trip, trips

NO_TIMES = [
    *("2024", "1_000_000", "1700000000", "1700000000.5", "20240101", "2024-01-01", "2024-W01-1", "20240101T101010"),
    *("2024-01-01T10", "1e9", "infinity", "2024-01-01+01:00", "٢٠٢٤-01-01T00:00:00Z"),
]
TIMES = ["2013-01-01t00:01:00z", "2013-01-01T00:01:00z", "2013-01-01t00:01:00Z", "2013-01-01T01:01:00.0+01:00",
         "2013-01-01 00:01:00", "2013-01-01 00:01:00+00", " 2013-01-01T00:01Z"]  # fmt: skip


@pytest.mark.parametrize("text", NO_TIMES)
def test_ambiguous_text_as_time_is_a_letter(flow: Flow, text: str) -> None:
    flow.feed(json_lines([trip(0), trip(1, at=text)]))
    outcome = flow.run(flow.spec(time_unit="us"))
    assert (outcome.summary["scored"], outcome.summary["dead_letters"]["decode"]) == (1, 1)
    (letter,) = flow.letters()
    assert letter["error"] == "MalformedTime"
    assert "RFC 3339 text with date and time of day" in letter["detail"]


@pytest.mark.parametrize("text", TIMES)
def test_time_of_rfc_3339_is_read_however_it_is_written(flow: Flow, text: str) -> None:
    flow.feed(json_lines([trip(1, at=text)]))
    outcome = flow.run(flow.spec())
    assert (outcome.code, outcome.summary["scored"]) == (0, 1), outcome


NOW_S = 1_700_000_000
EPOCHS: dict[str, tuple[list[float], dict[str, Any], str]] = {
    "seconds by default": ([NOW_S, NOW_S + 60], {}, "s, by which at 1700000000 is 2023-11-14T22:13:20Z"),
    "milliseconds by default": ([NOW_S * 1000 + 5], {}, "ms, by which at 1700000000005 is 2023-11-14T22:13:20.005"),
    "seconds as milliseconds": ([NOW_S], {"time_unit": "ms"}, "s, by which at 1700000000 is"),
    "fractions of seconds": ([NOW_S + 0.5], {}, "s, by which at 1700000000.5 is"),
    "types stated": ([NOW_S], {"columns": {"delay": "number", "distance": "integer", "carrier": "string"}}, "s, by"),
    "most of them": ([1_700_000_000_000_000, NOW_S, NOW_S], {}, "s, by which"),
    "another range": ([NOW_S], {"time_range": ["2020-01-01", "2030-01-01"]}, "s, by which"),
}


@pytest.mark.parametrize("times", EPOCHS.values(), ids=EPOCHS)
def test_epochs_of_another_unit_are_named(flow: Flow, times: tuple[list[float], dict[str, Any], str]) -> None:
    numbers, events, says = times
    flow.feed(json_lines(trip(number, at=at) for number, at in enumerate(numbers)))
    outcome = flow.run(flow.spec(**events))
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("halflife: events.time_unit: ")
    assert says in outcome.err
    assert "next: --set events.time_unit=" in outcome.err


NOW_US, NOW_MS = NOW_S * 1_000_000, NOW_S * 1_000
DAYS = "looks like a number of days since"
MIXED: dict[str, tuple[list[float], dict[str, Any], str]] = {
    "2 of 5": ([NOW_S, NOW_S + 1, NOW_US, NOW_US, NOW_US], {}, "2 of 5 in the first records are s, by which at 17"),
    "milliseconds": ([NOW_US, NOW_MS, NOW_US, NOW_US], {}, "1 of 4 in the first records are ms, by which"),
    "half": ([NOW_US, NOW_S], {}, "1 of 2 in the first records are s, by which"),
    "after a stretch": ([*[NOW_US] * 1500, *[NOW_S] * 300], {}, "300 of 1,800 in the first records are s"),
    "unit stated": ([NOW_MS, NOW_MS, NOW_S], {"time_unit": "ms"}, "1 of 3 in the first records are s, by which"),
    "days of a spreadsheet": ([45292.5] * 5, {}, f"its 45292.5 {DAYS} 1899-12-30, as spreadsheets have them (2024"),
    "whole days": ([45292, 45293], {"time_unit": "s"}, f"its 45292 {DAYS} 1899-12-30"),
    "days since 1970": ([19723.25, 19724], {"time_unit": "ms"}, f"its 19723.25 {DAYS} 1970 (2024-01-01T06:00:00Z)"),
}


@pytest.mark.parametrize("times", MIXED.values(), ids=MIXED)
def test_times_of_several_units_and_numbers_of_days_are_named(
    flow: Flow, times: tuple[list[float], dict[str, Any], str]
) -> None:
    numbers, events, says = times
    flow.feed(json_lines(trip(number, at=at) for number, at in enumerate(numbers)))
    outcome = flow.run(flow.spec(**events))
    assert outcome.code == 2, outcome
    assert says in outcome.err
    assert "next: " in outcome.err


def test_times_of_another_unit_are_letters_where_the_range_says_so(flow: Flow) -> None:
    flow.feed(json_lines(trip(number, at=at) for number, at in enumerate([NOW_US, NOW_US, NOW_S])))
    outcome = flow.run(flow.spec(time_range=["1990-01-01", "2100-01-01"]))
    assert (outcome.code, outcome.summary["dead_letter_errors"]) == (0, {"decode": {"TimeOutOfRange": 1}}), outcome


def test_epochs_of_another_unit_are_named_in_avro(flow: Flow) -> None:
    fields = [{"name": "id", "type": "string"}, {"name": "at", "type": "long"}, {"name": "delay", "type": "double"},
              {"name": "distance", "type": "long"}, {"name": "carrier", "type": "string"}]  # fmt: skip
    flow.feed(container([trip(1, at=NOW_S * 1000)], {"type": "record", "name": "T", "fields": fields}))
    outcome = flow.run(flow.spec("avro"))
    assert (outcome.code, "ms, by which at" in outcome.err) == (2, True), outcome


@pytest.mark.parametrize(
    ("numbers", "events"),
    [
        ([NOW_S], {"time_unit": "s"}),
        ([NOW_S * 1_000_000] * 20 + [NOW_S], {}),
        ([month * 2_629_746_000_000 + 1_000_000_000_000 for month in range(30)], {}),
        ([NOW_S * 1_000_000, 1_000_000_000_000, 200_000_000_000_000], {}),
        ([number * 1_000 for number in range(87)], {"time_unit": "s"}),
        ([NOW_S], {"time_range": ["1970-01-01", "1971-01-01"]}),
        ([0, 60_000_000], {}),
    ],
    ids=["right", "one of many", "months from 1970 on", "1970 to now", "seconds of a day",
         "1970 is meant", "the first minutes of 1970"],
)
def test_plausible_times_are_scored(flow: Flow, numbers: list[int], events: dict[str, Any]) -> None:
    flow.feed(json_lines(trip(number, at=at) for number, at in enumerate(numbers)))
    outcome = flow.run(flow.spec(**events))
    assert (outcome.code, outcome.summary["scored"]) == (0, len(numbers)), outcome


FEW: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "seconds among microseconds": ([NOW_US] * 20 + [NOW_S], {}, "1 of 21 in the first records are s, by which at 17"),
    "milliseconds": ([NOW_US] * 30 + [NOW_MS] * 2, {}, "2 of 32 in the first records are ms, by which at 17"),
    "seconds among milliseconds": ([NOW_MS] * 11 + [NOW_S], {"time_unit": "ms"}, "1 of 12 in the first records are s"),
}


@pytest.mark.parametrize("times", FEW.values(), ids=FEW)
def test_a_few_times_of_another_unit_are_said_before_and_after(
    flow: Flow, times: tuple[list[Any], dict[str, Any], str]
) -> None:
    numbers, events, says = times
    flow.feed(json_lines(trip(number, at=at) for number, at in enumerate(numbers)))
    outcome = flow.run(flow.spec(**events))
    assert (outcome.code, outcome.summary["scored"]) == (0, len(numbers)), outcome
    before, after = outcome.err.splitlines()
    assert says in before
    assert f" of {len(numbers)} events are of 1970, such as 't{numbers.index(numbers[-1])}' at 1970-01-" in after
    assert all("next: " in line and "events.time_range=[1990-01-01, 2100-01-01]" in line for line in (before, after))


def test_times_of_1970_beyond_the_first_records_are_counted(flow: Flow) -> None:
    flow.feed(json_lines(trip(number, at=NOW_US if number < 4000 else 0) for number in range(4003)))
    outcome = flow.run(flow.spec())
    assert "note: 3 of 4,003 events are of 1970, such as 't4000' at 1970-01-01T00:00:00Z; next: " in outcome.err


@pytest.mark.parametrize("first", ["1970-01-01", "1960-01-01"])
def test_nothing_is_said_where_1970_is_meant(flow: Flow, first: str) -> None:
    flow.feed(json_lines([trip(0, at=NOW_US), trip(1, at=0), trip(2, at="1970-05-01T00:00:00Z")]))
    outcome = flow.run(flow.spec(time_range=[first, "2100-01-01"]))
    assert (outcome.summary["scored"], outcome.err) == (3, "")


def test_input_of_microseconds_is_what_it_was(flow: Flow) -> None:
    flow.feed(json_lines(trips(3)))
    assert flow.run(flow.spec()).summary["scored"] == 3
