"""A running job can be updated in place to this version; whatever would break that is named."""

from dataclasses import replace

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from runners.dataflow.compatibility import (
    Graph,
    Step,
    broken_by,
    from_json,
    graph_of,
    mapping_argument,
    name_mapping,
    to_json,
)
from tests.dataflow.release_graph import RELEASED


@pytest.fixture(scope="module")
def today(translated: beam_runner_api_pb2.Pipeline) -> Graph:
    return graph_of(translated)


def test_the_released_job_can_be_updated_to_this_version(today: Graph) -> None:
    released = from_json(RELEASED.read_text(encoding="utf-8"))
    advice = f"{mapping_argument(released, today) or 'no renaming fits'}; see runners/dataflow/README.md, Updates"
    # Labels are API: a renaming must be intended too, and whoever runs the job must get its mapping.
    assert broken_by(released, today) == [], advice


def test_the_graph_holds_every_state_with_its_format(today: Graph) -> None:
    states = {cell for step in today.values() for name, cell in step.holds.items() if name.startswith("state")}
    assert any("VersionedStateCoder progress/" in cell for cell in states)
    assert from_json(to_json(today)) == today


def test_a_step_that_is_gone_is_named(today: Graph) -> None:
    label = next(label for label, step in today.items() if step.holds)
    rest = {other: step for other, step in today.items() if other != label}
    assert [problem.split(":")[0] for problem in broken_by(today, rest)] == [label]


def test_another_format_of_state_is_named(today: Graph) -> None:
    label, step = next((label, step) for label, step in today.items() if step.holds)
    name = next(iter(step.holds))
    changed = {**today, label: replace(step, holds={**step.holds, name: "read_modify_write_spec of other"})}
    assert [problem.split(" was ")[0] for problem in broken_by(today, changed)] == [f"{label}: {name}"]


def test_a_renamed_step_is_mapped_and_nothing_breaks() -> None:
    step, other = Step(("kv(varint, bytes)",), {"state seen": "x/1"}), Step(("bytes",), {})
    released, renamed = {"Old/Track": step, "Same": other}, {"New/Track": step, "Same": other}
    assert broken_by(released, renamed) != []
    assert mapping_argument(released, renamed) == '--transform_name_mapping={"Old/Track": "New/Track"}'
    assert broken_by(released, renamed, name_mapping(released, renamed)) == []


def test_a_renaming_that_could_be_two_is_not_guessed() -> None:
    step = Step(("bytes",), {"state seen": "x/1"})
    assert name_mapping({"A": step, "B": step}, {"C": step}) == {}
    assert name_mapping({"A": step}, {"C": step, "D": step}) == {}
