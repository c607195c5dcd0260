"""Ids, subjects, keys and features of every type are the values in the record, or the record is a letter."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from models.releases.release import Challenger
from models.releases.shares import unit_interval
from tests.pipeline.jobs.flows import START_US, Flow, container, json_lines, read_avro

U = [str(uuid.UUID(int=2**100 + number)) for number in range(3)]
RAW = [b"abc", b"\xff\x00", b"Zo\xeb"]
DECIMAL: dict[str, Any] = {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 2}
BIG = 2**53 + 1
# The type of the column, three values, and their texts.
TYPES: list[tuple[Any, list[Any], list[str]]] = [
    ({"type": "string", "logicalType": "uuid"}, [uuid.UUID(one) for one in U], U),
    ({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, [uuid.UUID(one).bytes for one in U], U),
    ("bytes", RAW, ["abc", "\xff\x00", "Zo\xeb"]),
    (["null", {"type": "fixed", "name": "F", "size": 3}], [b"abc", b"\0\0\1", b"xyz"], ["abc", "\0\0\1", "xyz"]),
    (["null", "long", "string"], [5, "a", BIG], ["5", "a", str(BIG)]),
    ([{"type": "string", "logicalType": "uuid"}, "int", "bytes"], [uuid.UUID(U[0]), 7, b"\xe9"], [U[0], "7", "\xe9"]),
    (DECIMAL, [Decimal("1.25"), Decimal(BIG), Decimal("-0.10")], ["1.25", f"{BIG}.00", "-0.10"]),
    (DECIMAL | {"scale": 0}, [Decimal(2**62 + 1), Decimal(1), Decimal(-7)], [str(2**62 + 1), "1", "-7"]),
    ({"type": "enum", "name": "K", "symbols": ["A", "B", "C"]}, ["A", "B", "C"], ["A", "B", "C"]),
    ("long", [BIG, BIG + 1, BIG + 2], [str(BIG), str(BIG + 1), str(BIG + 2)]),
]
FIELDS = [
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "delay", "type": ["null", "double"]},
]


def avro(kind: Any, values: list[Any], **more: list[Any]) -> bytes:
    """Records at successive hours with a column `it` of the type; `at` or `delay` as given."""
    schema = {
        "type": "record",
        "name": "E",
        "fields": [{"name": "it", "type": kind}, {"name": "id", "type": "int"}, *FIELDS],
    }
    rows = [
        {"it": value, "id": number, "at": START_US // 1000 + number * 3_600_000, "delay": 1.0}
        for number, value in enumerate(values)
    ]
    for name, column in more.items():
        rows = [row | {name: value} for row, value in zip(rows, column, strict=True)]
    return container(rows, schema)


def scores(flow: Flow, name: str) -> list[Any]:
    return [row[name] for row in sorted(read_avro(flow.root / "scores"), key=lambda row: row["event_time"])]


def features(flow: Flow, name: str) -> list[Any]:
    rows = [row for row in read_avro(flow.root / "audit") if "features" in row]
    return [row["features"][name] for row in sorted(rows, key=lambda row: row["event_time"])]


def job(flow: Flow, format_name: str, *features: Any, **events: Any) -> dict[str, Any]:
    return {**flow.spec(format_name, **events), "features": ["delay", *features]}


@pytest.mark.parametrize(("kind", "values", "texts"), TYPES)
def test_avro_column_of_any_type_is_id_and_subject(flow: Flow, kind: Any, values: list[Any], texts: list[str]) -> None:
    flow.feed(avro(kind, values))
    outcome = flow.run(job(flow, "avro", event_id="it", subject="it"))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 3, []), outcome.err
    assert (scores(flow, "event_id"), scores(flow, "subject")) == (texts, texts)


@pytest.mark.parametrize(("kind", "values", "texts"), TYPES[2::3])
def test_avro_column_of_any_type_is_a_key(flow: Flow, kind: Any, values: list[Any], texts: list[str]) -> None:
    """The same three keys twice, two hours later: each event sees the one before of its own key alone."""
    count = {"name": "n", "key": "it", "aggregate": "count", "size": "10h", "every": "1h"}
    schema = {"type": "record", "name": "E", "fields": [{"name": "it", "type": kind}, *FIELDS]}
    schema["fields"] = [*schema["fields"], {"name": "id", "type": "long"}]
    rows = [
        {"it": value, "at": START_US // 1000 + number * 3_600_000, "delay": 1.0, "id": number}
        for number, value in enumerate([*values, *values])
    ]
    flow.feed(container(rows, schema))
    flow.store.publish(flow.root / "payload", MODEL)
    flow.store.append_release(champion="counts", effective_from_us=0, by="tests")
    outcome = flow.run(job(flow, "avro", count))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 6, []), outcome.err
    assert features(flow, "n") == [0, 0, 0, 1, 1, 1]


MODEL: dict[str, Any] = {
    "scorer": "linear",
    "version": "counts",
    "inputs": [{"name": "n", "type": "number", "nullable": True, "default": 0.0}],
    "output": {"kind": "regression"},
    "linear": {
        "intercept": 0.0,
        "coefficients": {"n": 1.0},
        "means": {},
        "scales": {},
        "categories": {},
        "link": "identity",
    },
    "training": {"trained_at": "2012-12-01T00:00:00Z"},
    "created_by": "tests",
}
DELAY = {"name": "delay", "type": "number", "nullable": True, "default": 0.0}
NUMBERS: list[tuple[Any, list[Any], list[Any]]] = [
    (["null", "long", "double"], [1, 2.5, None], [1.0, 2.5, None]),
    (
        DECIMAL,
        [Decimal("1.25"), Decimal("12345678901234567.89"), Decimal("-0.01")],
        [1.25, 12345678901234567.89, -0.01],
    ),
    (["null", "int", DECIMAL], [3, Decimal("0.07"), None], [3.0, 0.07, None]),
    (["null", "float", "long"], [None, None, None], [None, None, None]),
]


@pytest.mark.parametrize(
    ("kind", "values", "numbers", "columns"),
    [*((*one, None) for one in NUMBERS), (*NUMBERS[0], {"it": "number", "delay": "number"})],
)
def test_unions_of_numbers_and_decimals_are_features(
    flow: Flow, kind: Any, values: list[Any], numbers: list[Any], columns: dict[str, str] | None
) -> None:
    model = {**MODEL, "version": "it", "inputs": [{**MODEL["inputs"][0], "name": "it", "default": -1.0}]}
    model["linear"] = {**MODEL["linear"], "coefficients": {"it": 1.0}}
    flow.store.publish(flow.root / "payload", model)
    flow.store.append_release(champion="it", effective_from_us=0, by="tests")
    flow.feed(avro(kind, values))
    stated = {} if columns is None else {"columns": columns}
    outcome = flow.run(job(flow, "avro", "it", **stated))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 3, []), outcome.err
    assert features(flow, "it") == [-1.0 if number is None else number for number in numbers]


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        (["long", "string"], [START_US, "2013-01-01T00:00:00Z"]),
        ([{"type": "long", "logicalType": "timestamp-millis"}, "string"], [START_US // 1000, "2013-01-01T00:00:00z"]),
        ([{"type": "int", "logicalType": "date"}, "double"], [15706, float(START_US)]),
        (["null", "double", DECIMAL | {"scale": 0}], [float(START_US), Decimal(START_US)]),
    ],
)
def test_time_in_a_union_is_read_by_its_own_branch(flow: Flow, kind: Any, at: list[Any]) -> None:
    fields: list[Any] = [{"name": "id", "type": "long"}, {"name": "at", "type": kind}, FIELDS[1]]
    rows = [{"id": 1, "at": at[0], "delay": 1.0}, {"id": 2, "at": at[1], "delay": 1.0}]
    flow.feed(container(rows, {"type": "record", "name": "E", "fields": fields}))
    outcome = flow.run(job(flow, "avro"))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 2, []), outcome.err
    assert {int(time.timestamp() * 1e6) for time in scores(flow, "event_time")} == {START_US}


@pytest.mark.parametrize(
    ("kind", "values", "role"),
    [
        ("double", [1.5], "event_id"),
        ({"type": "array", "items": "string"}, [["a"]], "event_id"),
        ("boolean", [True], "subject"),
        ("double", [2.0**53], "subject"),
    ],
)
def test_identity_that_cannot_be_read_is_a_letter(flow: Flow, kind: Any, values: list[Any], role: str) -> None:
    flow.feed(avro(["null", kind], [*values, None]))
    identity: dict[str, Any] = {role: "it"}
    outcome = flow.run(job(flow, "avro", columns={"delay": "number"}, **identity))
    errors = sorted(letter["error"] for letter in flow.letters())
    assert errors == (["MissingValue", "WrongType"] if role == "event_id" else ["WrongType"]), outcome.err
    assert all(letter["stage"] == "decode" for letter in flow.letters())


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("9007199254740993", "9007199254740993"),
        ("1e3", "1000"),
        ("-0.0", "0"),
        ("9007199254740993.0", "9007199254740993"),
        ("18446744073709551617", "18446744073709551617"),
        ("12.50e1", "125"),
    ],
)
def test_whole_number_of_json_keeps_its_digits(flow: Flow, text: str, id_: str) -> None:
    line = f'{{"id": {text}, "who": {text}, "at": {START_US}, "delay": 1.0}}\n'.encode()
    flow.feed(line + json_lines([{"id": "x", "at": START_US, "delay": 2}]))
    outcome = flow.run(job(flow, "json", subject="who", columns={"delay": "number"}))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 2, []), outcome.err
    assert (sorted(scores(flow, "event_id")), set(scores(flow, "subject"))) == (sorted([id_, "x"]), {id_, None})


@pytest.mark.parametrize("text", ["9007199254740993", "9007199254740993.0", "9.007199254740993e15"])
def test_whole_number_of_json_is_a_model_s_integer(flow: Flow, text: str) -> None:
    model = {**MODEL, "version": "it", "inputs": [{"name": "it", "type": "integer"}]}
    model["linear"] = {**MODEL["linear"], "coefficients": {"it": 1.0}}
    flow.store.publish(flow.root / "payload", model)
    flow.store.append_release(champion="it", effective_from_us=0, by="tests")
    flow.feed(f'{{"id": "a", "at": {START_US}, "it": {text}}}\n'.encode())
    spec = {**flow.spec("json", columns={"it": "integer"}), "features": ["it"]}
    outcome = flow.run(spec)
    assert (outcome.code, features(flow, "it")) == (0, [9007199254740993]), (outcome.err, flow.letters())


@pytest.mark.parametrize("values", [(0.0, -0.0), (7, 7.0), (1e15, 10**15)])
def test_equal_numbers_are_one_key(flow: Flow, values: tuple[Any, Any]) -> None:
    flow.store.publish(flow.root / "payload", MODEL)
    flow.store.append_release(champion="counts", effective_from_us=0, by="tests")
    count = {"name": "n", "key": "it", "aggregate": "count", "size": "10h", "every": "1h"}
    rows = [{"id": n, "at": START_US + n * 3_600_000_000, "it": value} for n, value in enumerate(values)]
    flow.feed(json_lines(rows))
    outcome = flow.run({**flow.spec("json", columns={"it": "number"}), "features": [count]})
    assert (outcome.code, features(flow, "n")) == (0, [0, 1]), outcome.err


@pytest.mark.parametrize(("kind", "values", "texts"), [*TYPES[1::4], ("double", [7.0, -0.0, 12.5], ["7", "0", "12.5"])])
def test_one_person_gets_one_arm_of_a_canary(flow: Flow, kind: Any, values: list[Any], texts: list[str]) -> None:
    flow.store.publish(
        flow.root / "payload",
        {**MODEL, "version": "other", "inputs": [DELAY], "linear": {**MODEL["linear"], "coefficients": {"delay": 1.0}}},
    )
    challengers = [Challenger("other", 0.5)]
    column = "it" if kind == "double" else "subject"
    flow.store.append_release(
        champion="v1", challengers=challengers, split_on=column, salt="s", effective_from_us=0, by="tests"
    )
    flow.feed(avro(kind, values * 20, at=[START_US // 1000 + number for number in range(60)]))
    identity = {} if kind == "double" else {"subject": "it"}
    outcome = flow.run(job(flow, "avro", *(["it"] if kind == "double" else []), **identity))
    assert (outcome.code, outcome.summary["scored"]) == (0, 60), (outcome.err, flow.letters())
    expected = ["other" if number < 0.5 else "v1" for number in unit_interval("s", texts)]
    assert scores(flow, "version") == expected * 20


@pytest.mark.parametrize("nulls", [1_500])
def test_column_that_is_null_at_first_gets_its_type_from_what_follows(flow: Flow, nulls: int) -> None:
    rows = [{"id": n, "at": START_US + n, "delay": None if n < nulls else 2.5} for n in range(nulls + 5)]
    flow.feed(json_lines(rows))
    outcome = flow.run(job(flow, "json"))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, nulls + 5, []), outcome.err
    assert set(features(flow, "delay")) == {0.0, 2.5}


def test_advice_for_a_column_that_is_always_null_helps(flow: Flow) -> None:
    flow.feed(json_lines([{"id": n, "at": START_US + n, "delay": None} for n in range(3)]))
    refused = flow.run(job(flow, "json"))
    assert (refused.code, "state its type under events.columns" in refused.err) == (2, True)
    assert flow.run(job(flow, "json", columns={"delay": "number"})).summary["scored"] == 3


def test_avro_column_of_nulls_in_the_first_block_has_the_type_of_its_schema(flow: Flow) -> None:
    schema = [{"name": "id", "type": "long"}, *FIELDS, {"name": "odd", "type": "bytes"}]
    rows = [{"id": n, "at": START_US // 1000 + n, "delay": None, "odd": b"\xff"} for n in range(3)]
    flow.feed(container(rows, {"type": "record", "name": "E", "fields": schema}))
    outcome = flow.run(job(flow, "avro"))
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 3, []), outcome.err


def test_column_that_holds_no_value_of_a_kind_is_refused_without_advice(flow: Flow) -> None:
    flow.feed(avro({"type": "map", "values": "long"}, [{"a": 1}]))
    outcome = flow.run(job(flow, "avro", "it"))
    assert (outcome.code, "a column of numbers, booleans, texts, times or vectors" in outcome.err) == (2, True)
    assert "state its type" not in outcome.err


def test_nulls_of_a_subject_are_no_letters(flow: Flow) -> None:
    flow.feed(avro(["null", "long", "string"], [None, 1, "a"]))
    outcome = flow.run(job(flow, "avro", subject="it"))
    assert (outcome.summary["scored"], scores(flow, "subject")) == (3, [None, "1", "a"]), outcome.err
