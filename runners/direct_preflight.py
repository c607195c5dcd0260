"""Checks of a job for DirectRunner: whether the input fits into memory, and options for workers that it must not
set."""

from collections.abc import Iterator, Sequence

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from runners.findings import MIB, Facts, Finding, fail, memory, ok, unchecked, warn

# Measured with the year of flights, twelve inputs a row (benchmarks/RESULTS.md): what a process of the job has before
# its first event, and what each million events adds, since the runner keeps bounded input between its stages.
START_MIB = 600
MIB_PER_MILLION_EVENTS = 1_650
# Rows of another job may be this much wider before an estimate from the flights counts as a failure.
_UNSURE = 2.0


def check(facts: Facts, arguments: Sequence[str], machine_bytes: int | None) -> Iterator[Finding]:
    """The findings for these arguments of Beam's; `machine_bytes`: the memory of this machine, None if unknown."""
    options = PipelineOptions(list(arguments)).view_as(DirectOptions)
    yield _workers(options.direct_running_mode, options.direct_num_workers)
    if facts.streaming:
        found = "the input has no end: DirectRunner keeps what it reads, and loses it when the process ends"
        yield warn("runner", found, "--runner=flink or dataflow for a service; until=latest to read a topic once")
    if machine_bytes is None:
        yield unchecked("memory", "this machine does not say how much it has")
        return
    yield memory("worker memory", facts, 1, machine_bytes, "of this machine")
    if not facts.streaming:
        yield _input_memory(facts, machine_bytes)


def _workers(mode: str, number: int) -> Finding:
    check = "--direct_running_mode"
    if mode == "in_memory" and number in (0, 1):
        return ok(check, "one worker in this process")
    workers = number or "as many workers as cores"
    found = f"{mode} with {workers}: of two runs with several workers one lost rows and one did not end"
    return warn(check, found, "leave both options out (README.md, Limits)")


def _input_memory(facts: Facts, machine_bytes: int) -> Finding:
    check = "memory for the input"
    if facts.events is None:
        return unchecked(check, "how many events the input holds could not be told")
    models = sum(model.growth_bytes or 0 for model in facts.models) // MIB
    needed = START_MIB + models + MIB_PER_MILLION_EVENTS * facts.events // 1_000_000
    found = f"about {facts.events:,} events, so {needed:,} MiB of {machine_bytes // MIB:,} (estimated by the flights)"
    advice = "fewer events in one run, more memory, or --runner=flink"
    if needed * MIB > _UNSURE * machine_bytes:
        return fail(check, found, advice)
    return warn(check, found, advice) if needed * MIB > 0.7 * machine_bytes else ok(check, found)
