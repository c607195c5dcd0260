"""What Dataflow would be asked to run, read off the pipeline proto that Beam's own runner makes of the job."""

import re

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from tests.dataflow.doubles.contents import in_clear
from tests.dataflow.flights_stream import IMAGE, KAFKA_PASSWORD

MOST_BYTES = 10 * 1024**2  # Dataflow refuses a larger job description
DETERMINISTIC = {"beam:coder:varint:v1", "beam:coder:string_utf8:v1", "beam:coder:bytes:v1", "beam:coder:bool:v1"}
Steps = dict[str, beam_runner_api_pb2.PTransform]


def pardos(steps: Steps) -> dict[str, beam_runner_api_pb2.ParDoPayload]:
    urn = common_urns.primitives.PAR_DO.urn
    found = {name: step.spec.payload for name, step in steps.items() if step.spec.urn == urn}
    return {name: beam_runner_api_pb2.ParDoPayload.FromString(payload) for name, payload in found.items()}


def test_the_job_fits_dataflows_limit(translated: beam_runner_api_pb2.Pipeline) -> None:
    assert 10_000 < translated.ByteSize() < MOST_BYTES / 10


def test_workers_run_the_image_and_install_nothing(translated: beam_runner_api_pb2.Pipeline) -> None:
    environments = list(translated.components.environments.values())
    payloads = [beam_runner_api_pb2.DockerPayload.FromString(one.payload) for one in environments]
    assert {payload.container_image for payload in payloads} == {IMAGE}
    assert [list(one.dependencies) for one in environments] == [[]]


def test_the_events_are_unbounded(translated: beam_runner_api_pb2.Pipeline, steps: Steps) -> None:
    (read,) = steps["ReadEvents"].outputs.values()
    unbounded = beam_runner_api_pb2.IsBounded.UNBOUNDED
    assert translated.components.pcollections[read].is_bounded == unbounded


def test_every_stateful_step_has_a_deterministic_key(translated: beam_runner_api_pb2.Pipeline, steps: Steps) -> None:
    parts = translated.components
    stateful = {name: one for name, one in pardos(steps).items() if one.state_specs or one.timer_family_specs}
    keys = {}
    for name in stateful:
        collection = parts.pcollections[next(iter(steps[name].inputs.values()))]
        pair = parts.coders[collection.coder_id]
        assert pair.spec.urn == common_urns.coders.KV.urn, name
        keys[name] = parts.coders[pair.component_coder_ids[0]].spec.urn
    assert len(keys) >= 4
    assert {name: key for name, key in keys.items() if key not in DETERMINISTIC} == {}


def test_drift_is_windowed_by_the_specs_day(translated: beam_runner_api_pb2.Pipeline, steps: Steps) -> None:
    (windowed,) = steps["MeasureDrift/Window"].outputs.values()
    strategy_id = translated.components.pcollections[windowed].windowing_strategy_id
    strategy = translated.components.windowing_strategies[strategy_id]
    assert strategy.window_fn.urn == common_urns.fixed_windows.urn
    assert strategy.allowed_lateness == 2 * 60 * 60 * 1000


def test_nothing_local_and_no_address_of_this_machine_is_in_the_job(
    translated: beam_runner_api_pb2.Pipeline,
) -> None:
    said = in_clear(translated.SerializeToString())
    local = rb"file://[^\s\x00]{0,60}|(?<![\w/])/(?:tmp|root|home|work)/[^\s\x00]{0,120}|localhost:\d+"
    # Functions of Beam's own that it pickles by value carry the name of their source file.
    assert [found for found in re.findall(local, said) if b"/apache_beam/" not in found] == []


def test_a_brokers_password_is_not_in_the_job_but_its_variable_is(translated: beam_runner_api_pb2.Pipeline) -> None:
    said = in_clear(translated.SerializeToString())
    assert b"${HALFLIFE_KAFKA_PASSWORD}" in said
    assert KAFKA_PASSWORD.encode() not in said
