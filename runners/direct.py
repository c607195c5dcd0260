"""DirectRunner: one process on one machine, for development, demos and batch runs of moderate size.

Beam 2.77's `DirectRunner` first tries Prism, for which it downloads a program, and falls back to one of two Python
runners. The job names `FnApiRunner` instead, so that a run never depends on the network: bundles in columns stay cheap,
and counters are exact.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, translations
from apache_beam.runners.runner import PipelineRunner
from apache_beam.runners.worker import bundle_processor

NAMES = ("DirectRunner", "FnApiRunner")
Stages = Iterable[translations.Stage]


def bounded_runner() -> PipelineRunner:
    """The runner for bounded input."""
    return _BoundedRunner()


def is_named(runner: str | None) -> bool:
    """Whether an option `--runner` (None: not given) means DirectRunner."""
    return runner is None or runner in NAMES


def is_one_process(runner: PipelineRunner, options: PipelineOptions) -> bool:
    """Whether all workers of a run are threads of this process."""
    return isinstance(runner, _BoundedRunner) and options.view_as(DirectOptions).direct_running_mode == "in_memory"


def knows_counts(runner: PipelineRunner, options: PipelineOptions) -> bool:
    """Whether this process sees what the workers of a run count, before it ends: they are its threads."""
    mode = options.view_as(DirectOptions).direct_running_mode
    return isinstance(runner, _BoundedRunner) and mode != "multi_processing"


def is_one_worker(options: PipelineOptions) -> bool:
    """Whether a job with these options runs on DirectRunner with a single worker."""
    chosen, direct = options.view_as(StandardOptions).runner, options.view_as(DirectOptions)
    return is_named(chosen) and direct.direct_num_workers == 1


class _BoundedRunner(FnApiRunner):
    """`FnApiRunner` with one more phase, `group_flattened`, among those of apache-beam 2.77."""

    def create_stages(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline
    ) -> tuple[translations.TransformContext, list[translations.Stage]]:
        return translations.create_and_optimize_stages(  # type: ignore[no-any-return]  # Beam's phases have no types
            copy.deepcopy(pipeline_proto),
            phases=[
                translations.annotate_downstream_side_inputs,
                translations.fix_side_input_pcoll_coders,
                translations.pack_combiners,
                translations.lift_combiners,
                translations.expand_sdf,
                translations.expand_gbk,
                translations.sink_flattens,
                group_flattened,
                translations.greedily_fuse,
                translations.read_to_impulse,
                translations.impulse_to_input,
                translations.sort_stages,
                translations.add_impulse_to_dangling_transforms,
                translations.setup_timer_mapping,
                translations.populate_data_channel_coders,
            ],
            known_runner_urns=frozenset(
                [common_urns.primitives.FLATTEN.urn, common_urns.primitives.GROUP_BY_KEY.urn]
            ),
            use_state_iterables=self._use_state_iterables,
            is_drain=self._is_drain,
        )


class _Sunk(NamedTuple):
    """The stages between the inputs of a Flatten and the groups that it leads to."""

    flatten_read: translations.Stage
    group_write: translations.Stage


def group_flattened(stages: Stages, context: translations.TransformContext) -> Iterator[translations.Stage]:
    """Lets the inputs of a Flatten that only a GroupByKey reads write into its groups directly.

    Beam keeps a Flatten of several stages as a list that a separate stage copies into the groups: every element is
    decoded and encoded once more, which takes a tenth of the time of a job that joins its features this way.
    """
    stages = list(stages)
    sunk = _sunk_flattens(stages)
    gone = {id(stage): payload for payload, pair in sunk.items() for stage in pair}
    writers: dict[bytes, list[translations.Stage]] = {payload: [] for payload in sunk}
    for stage in stages:
        spec = stage.transforms[0].spec
        if spec.urn == bundle_processor.DATA_OUTPUT_URN and spec.payload in sunk:
            writers[spec.payload].append(stage)
            spec.payload = sunk[spec.payload].group_write.transforms[0].spec.payload
    for pair in sunk.values():  # the groups are read with this collection's coder, which no stage would have any more
        context.add_data_channel_coder(_only_value(pair.flatten_read.transforms[0].outputs), False)
    for stage in stages:
        if id(stage) not in gone:
            followed = [writers[gone[id(s)]] if id(s) in gone else [s] for s in stage.must_follow]
            stage.must_follow = frozenset(chain.from_iterable(followed))
            yield stage


def _only_value(named: Mapping[str, str]) -> str:
    (value,) = named.values()
    return value


def _sunk_flattens(stages: list[translations.Stage]) -> dict[bytes, _Sunk]:
    """The Flattens that can be removed, by the id of the list that each would be kept as."""
    readers: dict[str, list[translations.Stage]] = {}
    for stage in stages:
        for collection in stage.transforms[0].inputs.values():
            readers.setdefault(collection, []).append(stage)
    sunk = {}
    for stage in stages:
        transform = stage.transforms[0]
        if transform.spec.urn != bundle_processor.DATA_INPUT_URN or _kind(transform) != "materialize":
            continue
        found = readers.get(_only_value(transform.outputs), [])
        if len(found) == 1 and _kind(found[0].transforms[0]) == "group":
            sunk[transform.spec.payload] = _Sunk(stage, found[0])
    return sunk


def _kind(transform: beam_runner_api_pb2.PTransform) -> str:
    """Where a stage's data goes or comes from: a list (`materialize`), groups (`group`), or nowhere (empty)."""
    if transform.spec.urn not in (bundle_processor.DATA_INPUT_URN, bundle_processor.DATA_OUTPUT_URN):
        return ""
    kind: str = translations.split_buffer_id(transform.spec.payload)[0]
    return kind
