"""The bounded runner computes what Beam's own does, with one stage fewer where only a grouping reads a Flatten."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from runners import direct

Graph = Callable[[beam.Pipeline], Any]


def _sources(pipeline: beam.Pipeline) -> tuple[Any, Any, Any]:
    """Three collections of (key, text), each behind a grouping of its own, so that no two share a stage."""
    first = pipeline | "First" >> beam.Create([(1, "a"), (2, "b"), (1, "c")])
    grouped = first | "Regroup" >> beam.GroupByKey() | "Count" >> beam.MapTuple(lambda key, own: (key, f"{len(own)}"))
    other = pipeline | "Other" >> beam.Create([(2, "d"), (3, "e")]) | "Spread" >> beam.Reshuffle()
    return first, grouped, other


def _sorted_groups(collection: Any, label: str) -> Any:
    groups = collection | f"Group{label}" >> beam.GroupByKey()
    return groups | f"Sort{label}" >> beam.MapTuple(lambda key, own: (key, sorted(own)))


def _joined(pipeline: beam.Pipeline) -> None:
    groups = _sorted_groups(_sources(pipeline) | beam.Flatten(), "")
    assert_that(groups, equal_to([(1, ["2", "a", "c"]), (2, ["1", "b", "d"]), (3, ["e"])]))


def _joined_and_read(pipeline: beam.Pipeline) -> None:
    together = _sources(pipeline) | beam.Flatten()
    assert_that(_sorted_groups(together, ""), equal_to([(1, ["2", "a", "c"]), (2, ["1", "b", "d"]), (3, ["e"])]))
    texts = together | beam.Values()
    assert_that(texts, equal_to(["a", "b", "c", "2", "1", "d", "e"]), label="Texts")


def _joined_with_itself(pipeline: beam.Pipeline) -> None:
    first, _, other = _sources(pipeline)
    groups = _sorted_groups((first, first, other) | beam.Flatten(), "")
    assert_that(groups, equal_to([(1, ["a", "a", "c", "c"]), (2, ["b", "b", "d"]), (3, ["e"])]))


def _grouped_twice(pipeline: beam.Pipeline) -> None:
    together = _sources(pipeline) | beam.Flatten()
    for label in ("One", "Two"):
        groups = _sorted_groups(together, label)
        assert_that(groups, equal_to([(1, ["2", "a", "c"]), (2, ["1", "b", "d"]), (3, ["e"])]), label=f"Check{label}")


def _nothing_to_group(pipeline: beam.Pipeline) -> None:
    empty = pipeline | "None" >> beam.Create([]).with_output_types(tuple[int, str])
    again = pipeline | "NoneAgain" >> beam.Create([]).with_output_types(tuple[int, str])
    assert_that(_sorted_groups((empty, again) | beam.Flatten(), ""), equal_to([]))


@pytest.mark.parametrize("graph", [_joined, _joined_and_read, _joined_with_itself, _grouped_twice, _nothing_to_group])
@pytest.mark.parametrize("runner", [direct.bounded_runner, FnApiRunner])
def test_groups_hold_what_was_flattened(runner: Callable[[], Any], graph: Graph) -> None:
    with beam.Pipeline(runner=runner(), options=PipelineOptions([])) as pipeline:
        graph(pipeline)


def _stages(runner: FnApiRunner, graph: Graph) -> list[str]:
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions([]))
    graph(pipeline)
    proto = runner.resolve_any_environments(pipeline.to_runner_api())
    return [transform.unique_name for stage in runner.create_stages(proto)[1] for transform in stage.transforms]


def test_only_a_flatten_that_nothing_else_reads_goes() -> None:
    for graph, kept in ((_joined, False), (_joined_and_read, True), (_grouped_twice, True)):
        assert "Flatten/Read" in _stages(FnApiRunner(), graph)
        assert ("Flatten/Read" in _stages(direct._BoundedRunner(), graph)) == kept, graph.__name__


@pytest.mark.parametrize(
    ("arguments", "one"),
    [([], True), (["--direct_num_workers=2"], True), (["--direct_running_mode=multi_processing"], False)],
)
def test_workers_in_separate_processes_are_distinguished(arguments: list[str], one: bool) -> None:
    assert direct.is_one_process(direct.bounded_runner(), PipelineOptions(arguments)) == one
    assert not direct.is_one_process(FnApiRunner(), PipelineOptions(arguments))


@pytest.mark.parametrize(
    ("arguments", "one"),
    [
        ([], True),
        (["--runner=DirectRunner"], True),
        (["--direct_num_workers=2"], False),
        (["--direct_num_workers=0"], False),  # one for each core
        (["--runner=FlinkRunner"], False),
    ],
)
def test_a_single_worker_is_known_by_the_options(arguments: list[str], one: bool) -> None:
    assert direct.is_one_worker(PipelineOptions(arguments)) == one
