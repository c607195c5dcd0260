"""A job on Dataflow that measures quality by labels of another topic: the graph that Beam's own runner makes of it."""

from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from pipeline.endpoints.kafka.address import kafka_address
from pipeline.endpoints.labels.label_source import LabelSource
from pipeline.endpoints.sources import Topic
from pipeline.spec.job import events_spec
from runners.dataflow.compatibility import graph_of
from schemas.job import ConceptDriftSpec, LabelsSpec
from tests.dataflow.doubles.contents import function_of
from tests.dataflow.flights_stream import KAFKA_PASSWORD, SETTINGS, translate

HOUR_US = 3_600_000_000
RECORDS = {"format": "json", "event_id": "id", "event_time": "landed_at"}
Steps = dict[str, beam_runner_api_pb2.PTransform]


@pytest.fixture(scope="module")
def labelled() -> beam_runner_api_pb2.Pipeline:
    """The job whose labels are in a topic of the same broker."""
    uri = SETTINGS[0].partition("=")[2].replace("departures", "arrivals")
    records = events_spec({"uri": uri, **RECORDS}, {"arr_delay": "number"})
    changes = ConceptDriftSpec(("page_hinkley",))
    spec = LabelsSpec(records, "> 15", 48 * HOUR_US, changes, silent_after_us=6 * HOUR_US)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALFLIFE_KAFKA_PASSWORD", KAFKA_PASSWORD)
        return translate(LabelSource(spec, Topic(kafka_address(uri, "labels.uri"), "json")))


@pytest.fixture(scope="module")
def steps(labelled: beam_runner_api_pb2.Pipeline) -> Steps:
    return {step.unique_name: step for step in labelled.components.transforms.values()}


def test_labels_are_read_without_end_and_joined_with_the_answers(
    labelled: beam_runner_api_pb2.Pipeline, steps: Steps
) -> None:
    [read] = steps["ReadLabels"].outputs.values()
    assert labelled.components.pcollections[read].is_bounded == beam_runner_api_pb2.IsBounded.UNBOUNDED
    assert {"DecodeLabels", "MeasureQuality", "MeasureQuality/Arrive", "MeasureQuality/MergePanes"} <= set(steps)
    assert any(name.startswith("WriteQuality") for name in steps)


def test_what_the_section_says_of_labels_reaches_the_workers(steps: Steps) -> None:
    arriving = function_of(steps, "MeasureQuality/Arrive")
    assert (arriving._schedule.horizon_us, arriving._also.errors) == (48 * HOUR_US, True)
    assert function_of(steps, "ReadLabels/Read")._silent_after_us == 6 * HOUR_US


def test_state_of_labels_has_whole_numbers_as_keys_and_formats_of_its_own(labelled: Any) -> None:
    holding = graph_of(labelled)
    arriving = next(step for name, step in holding.items() if name.startswith("MeasureQuality/Arrive"))
    assert arriving.inputs[0].startswith("kv(varint, ")
    assert {"state answers", "state labels", "state let_go", "state windows"} <= set(arriving.holds)


def test_the_graph_is_far_below_dataflows_limit(labelled: beam_runner_api_pb2.Pipeline) -> None:
    assert 10_000 < labelled.ByteSize() < 1024**2
