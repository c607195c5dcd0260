"""The embedded job as Dataflow would get it, once for all tests."""

from pathlib import Path

import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from tests.dataflow.flights_stream import translate


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def translated() -> beam_runner_api_pb2.Pipeline:
    """The pipeline proto that `DataflowRunner` would submit for the flights job as a stream."""
    return translate()


@pytest.fixture(scope="session")
def steps(translated: beam_runner_api_pb2.Pipeline) -> dict[str, beam_runner_api_pb2.PTransform]:
    """The transforms by their full label."""
    return {step.unique_name: step for step in translated.components.transforms.values()}
