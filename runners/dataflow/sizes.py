"""What must fit on Dataflow: models into a worker, the graph into a request, an update to the running job."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from apache_beam.portability.api import beam_runner_api_pb2

from runners.dataflow.compatibility import Graph, broken_by, from_json, graph_of, mapping_argument
from runners.dataflow.machines import PER_CPU, machine
from runners.findings import Facts, Finding, fail, memory, ok, unchecked, warn

# https://cloud.google.com/dataflow/docs/request-quotas: the graph of a job may have 10 MB.
MOST_GRAPH_BYTES = 10 * 1000 * 1000
RELEASED = Path(__file__).parent / "graph.json"
_ONE_PROCESS = "no_use_multiple_sdk_containers"


def worker_memory(facts: Facts, machine_type: str | None, experiments: Sequence[str]) -> Finding:
    """The live models in each SDK process of a worker, of which there is one per vCPU unless an experiment says one."""
    if machine_type is None:
        return unchecked("worker memory", "no --machine_type: the service chooses one")
    chosen = machine(machine_type)
    if chosen is None:
        known = ", ".join(sorted(PER_CPU))
        return unchecked("worker memory", f"{machine_type} is not in the table of types (series {known}, and custom)")
    processes = 1 if _ONE_PROCESS in experiments else chosen.cpus
    return memory("worker memory", facts, processes, chosen.memory_bytes, f"of {machine_type}")


def graph_findings(facts: Facts, update: bool, mapping: Mapping[str, str] | None) -> Iterator[Finding]:
    """The size of the graph, and, for a stream, what an update of a job of the last release would break."""
    if facts.graph is None:
        yield unchecked("graph", "it was not built, since the events were not read")
        return
    size = f"{len(facts.graph):,} bytes of {MOST_GRAPH_BYTES:,}"
    yield ok("graph size", size) if len(facts.graph) <= MOST_GRAPH_BYTES else fail(
        "graph size", size, "fewer features or sinks in one job"
    )
    if facts.streaming:
        yield _update(graph_of(beam_runner_api_pb2.Pipeline.FromString(facts.graph)), update, mapping)


def _update(today: Graph, update: bool, mapping: Mapping[str, str] | None) -> Finding:
    check = "update in place"
    if not RELEASED.is_file():
        return unchecked(check, "the graph of the last release (graph.json) is not installed here")
    released = from_json(RELEASED.read_text(encoding="utf-8"))
    # The state of a key column depends on the spec: a spec that differs from the released one has other keys.
    common = {label: step for label, step in released.items() if "[" not in label or label in today}
    broken = broken_by(common, today, mapping)
    if not broken:
        return ok(check, "a job of the last release with the same feature keys can be updated to this one")
    found = f"{len(broken)} step(s) would break: {broken[0][:200]}"
    proposed = "" if mapping else mapping_argument(common, today)
    change = f"{proposed} beside --update" if proposed else "drain the job that runs, then start this one"
    return fail(check, found, change) if update else warn(check, found, change)
