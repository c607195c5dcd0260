"""Every runner gives the same ids, scores, versions, roles and features for the same scenario."""


import pytest

from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from tests.conformance import runs
from tests.conformance.scenario import Answer, Scenario
from tests.flink.conftest import Watched
from tests.servers import needs

pytestmark = needs("java", "mvn", "go")


@pytest.fixture(scope="module")
def expected(scenario: Scenario) -> set[Answer]:
    answers = runs.on_direct(scenario)
    assert {one.version for one in answers} == {"v1", "v2", "v3"}
    assert {one.role for one in answers} == {"champion", "challenger", "shadow"}
    return answers


def assert_same(found: set[Answer], expected: set[Answer]) -> None:
    """Says how many differ, not the thousand of them."""
    assert (len(expected), len(expected - found), len(found - expected)) == (len(expected), 0, 0)


def test_a_stream_of_events_gives_the_answers_of_their_file(scenario: Scenario, expected: set[Answer]) -> None:
    assert_same(runs.in_a_story(scenario), expected)


def test_flink_gives_the_answers_of_direct_runner(bounded_on_flink: Watched, expected: set[Answer]) -> None:
    assert_same(bounded_on_flink.answers, expected)


def test_a_topic_followed_on_flink_gives_the_answers_of_its_events_in_a_file(
    scenario: Scenario, expected: set[Answer], cluster: FlinkCluster, broker: KafkaBroker
) -> None:
    assert_same(runs.on_flink_streaming(scenario, cluster, broker), expected)
