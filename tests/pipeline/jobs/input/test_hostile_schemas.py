"""A file whose schema no data can be read by is a letter that says why; the files beside it are scored."""

import json
from typing import Any

import pytest

from schemas.avro.schema import MalformedSchema, vetted
from tests.pipeline.jobs.containers import by_hand, event, event_schema, text
from tests.pipeline.jobs.flows import Flow, container, trips


def records_within(depth: int) -> str:
    opened = "".join(
        f'{{"type": "record", "name": "R{level}", "fields": [{{"name": "f", "type": ' for level in range(depth)
    )
    return opened + '"long"' + "}]}" * depth


FIXED = {"type": "fixed", "name": "F", "size": 1}
ITSELF = {"type": "record", "name": "A", "fields": [{"name": "x", "type": "A"}]}
IN_TURN = {
    "type": "record",
    "name": "A",
    "fields": [{"name": "b", "type": {"type": "record", "name": "B", "fields": [{"name": "a", "type": "A"}]}}],
}
WIDE = {"type": "record", "name": "W", "fields": [{"name": f"f{n}", "type": "null"} for n in range(20_001)]}
SCHEMAS: list[tuple[str, str]] = [
    (event_schema('{"type": "array", "items": ' * 1_500 + '"long"' + "}" * 1_500), "deeply; allowed: at most 512"),
    (event_schema(records_within(1_500)), "nested too deeply; allowed: at most 512"),
    (event_schema('{"type": "array", "items": ' * 50_000), "not JSON"),
    (event_schema("string", name="delay"), "appears twice: 'delay'"),
    (event_schema(FIXED | {"size": 2**62}), "allowed: 0 to 16777216"),
    (event_schema(FIXED | {"size": -1}), "allowed: 0 to 16777216"),
    (event_schema(ITSELF), "always holds itself"),
    (event_schema(IN_TURN), "always holds itself"),
    (event_schema(["null", FIXED, {"type": "array", "items": FIXED}]), "'F' is defined twice"),
    (event_schema(FIXED | {"name": "string"}), "no primitive's name"),
    (event_schema({"type": "enum", "name": "K", "symbols": ["A", "A"]}), "appears twice: 'A'"),
    (event_schema("null", name="other").replace('"null"', '"Nowhere"'), "no type 'Nowhere'"),
    (event_schema([["null"], "long"]), "a type other than a union"),
    (event_schema(["string", "string"]), "the branch 'string' twice"),
    (event_schema(WIDE), "allowed: at most 20000"),
]


@pytest.mark.parametrize(("schema", "says"), SCHEMAS, ids=range(len(SCHEMAS)))
def test_schema_is_refused_in_words(schema: str, says: str) -> None:
    with pytest.raises(MalformedSchema, match=says):
        vetted(schema)


@pytest.mark.parametrize("index", [0, 1, 3, 6])
def test_file_with_such_a_schema_is_a_letter_and_the_others_are_scored(flow: Flow, index: int) -> None:
    schema, says = SCHEMAS[index]
    content = by_hand(schema, (1, event("x", text(b"a"))))
    flow.feed(content)
    flow.feed(container(trips(3)), "in.1")
    outcome = flow.run(flow.spec("avro"))
    assert (outcome.code, outcome.summary.get("scored")) == (0, 3), outcome.err
    (letter,) = flow.letters()
    assert (letter["error"], letter["payload"], says in letter["detail"]) == ("UnreadableInput", content, True)


def test_names_mean_what_the_specification_says() -> None:
    inner: Any = {"type": "enum", "name": "K", "namespace": "b", "symbols": ["X"]}
    fields = [
        {"name": "id", "type": "string"},
        {"name": "near", "type": {"type": "fixed", "name": "K", "size": 1}},
        {"name": "far", "type": inner},
        {"name": "again", "type": "K"},
        {"name": "farther", "type": ["null", "b.K"]},
    ]
    schema = vetted(json.dumps({"type": "record", "name": "a.E", "fields": fields}))
    kinds = [child.kind for child in schema.root.children]
    assert kinds == ["string", "fixed", "enum", "fixed", "union"]
    assert schema.root.children[4].children[1] is schema.root.children[2]


def test_small_schema_that_expands_to_a_billion_types_costs_nothing(flow: Flow) -> None:
    types: list[Any] = [{"type": "record", "name": "R0", "fields": [{"name": "x", "type": "null"}]}]
    for level in range(1, 40):
        pair = [{"name": name, "type": f"R{level - 1}"} for name in "xy"]
        types.append({"type": "record", "name": f"R{level}", "fields": pair})
    flow.feed(by_hand(event_schema(["null", *types]), (1, event("a", b"\x50")), (1, event("b", b"\0"))))
    job = flow.spec("avro", columns={"delay": "number"})
    outcome = flow.run({**job, "features": ["delay"]})
    assert (outcome.code, outcome.summary["scored"], flow.letters()) == (0, 2, []), outcome.err
