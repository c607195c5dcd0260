"""Every runner gives the same ids, scores, versions, roles and features for the same scenario."""


import pytest

from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from tests.conformance import runs
from tests.conformance.quality import changes, letters_on_direct, measured, measured_on_direct
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


@pytest.fixture(scope="module")
def streamed(scenario: Scenario, expected: set[Answer], cluster: FlinkCluster, broker: KafkaBroker) -> runs.Streamed:
    """A job on Flink that follows the topics of events and labels, once DirectRunner has measured the same."""
    return runs.on_flink_streaming(scenario, cluster, broker)


def test_a_topic_followed_on_flink_gives_the_answers_of_its_events_in_a_file(
    streamed: runs.Streamed, expected: set[Answer]
) -> None:
    assert_same(streamed.answers, expected)


def test_quality_and_pairs_of_flink_are_those_of_direct_runner_although_labels_came_late_and_a_machine_died(
    streamed: runs.Streamed, scenario: Scenario
) -> None:
    wanted, found = measured_on_direct(scenario), measured(streamed.quality)
    assert {(one["version"], one["role"], one["against"]) for one in wanted.values()} >= {
        ("v1", "champion", None), ("v2", "shadow", "v1"), ("v3", "shadow", "v2"), ("v2", "challenger", "v1"),
    }  # fmt: skip
    differ = {key: (one, found.get(key)) for key, one in wanted.items() if found.get(key) != one}
    assert (len(wanted) > 1000, len(differ), list(differ.items())[:1]) == (True, 0, [])
    assert found.keys() == wanted.keys()
    assert sum(one["value"] is not None for one in wanted.values()) > 500


def test_changes_of_errors_seen_on_flink_are_those_of_direct_runner(
    streamed: runs.Streamed, scenario: Scenario
) -> None:
    wanted, found = changes(measured_on_direct(scenario)), changes(measured(streamed.quality))
    seen = {(one["version"], one["role"], one["metric"]) for one in wanted if one["began"] is not None}
    assert seen >= {(version, "champion", "change_page_hinkley") for version in ("v1", "v3")}
    assert [one for one in found if one not in wanted] == [one for one in wanted if one not in found] == []


def test_labels_beyond_the_horizon_are_the_same_dead_letters_on_flink(
    streamed: runs.Streamed, scenario: Scenario
) -> None:
    assert {(letter["stage"], letter["error"]) for letter in streamed.letters} == {("labels", "BeyondHorizon")}
    assert sorted({letter["event_id"] for letter in streamed.letters}) == letters_on_direct(scenario) != []
