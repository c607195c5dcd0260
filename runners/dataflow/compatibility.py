"""What an in-place update relies on: step labels, coders and state of a graph; and which of these another graph
breaks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apache_beam.coders.coders import deserialize_coder
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

_PAR_DO = common_urns.primitives.PAR_DO.urn
# Steps for which the service keeps data between two jobs: state and timers, or elements that wait for a group.
_HOLDING = (common_urns.primitives.GROUP_BY_KEY.urn, common_urns.composites.COMBINE_PER_KEY.urn)


@dataclass(frozen=True, slots=True)
class Step:
    """One step as the service knows it: the coders of what comes in, and of each state cell and timer family."""

    inputs: tuple[str, ...]
    holds: Mapping[str, str]


Graph = Mapping[str, Step]


def graph_of(pipeline: beam_runner_api_pb2.Pipeline) -> dict[str, Step]:
    """The steps for which data is kept between two jobs, by their full label."""
    transforms = pipeline.components.transforms.values()
    steps = {one.unique_name: _step(one, pipeline.components) for one in transforms}
    return {label: step for label, step in sorted(steps.items()) if step is not None}


def _step(transform: Any, parts: Any) -> Step | None:
    inputs = tuple(_coder(parts.pcollections[name].coder_id, parts) for _, name in sorted(transform.inputs.items()))
    if transform.spec.urn in _HOLDING:
        return Step(inputs, {})
    if transform.spec.urn != _PAR_DO:
        return None
    payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
    cells = {f"state {name}": _cell(spec, parts) for name, spec in payload.state_specs.items()}
    timers = {f"timer {name}": str(spec.time_domain) for name, spec in payload.timer_family_specs.items()}
    return Step(inputs, dict(sorted((cells | timers).items()))) if cells or timers else None


def _cell(spec: Any, parts: Any) -> str:
    kind = spec.WhichOneof("spec")
    held = getattr(spec, kind)
    coder = getattr(held, "coder_id", "") or getattr(held, "element_coder_id", "")
    return f"{kind} of {_coder(coder, parts)}"


def _coder(coder_id: str, parts: Any) -> str:
    """A coder with its components, such as kv(varint, bytes); a coder of Python code by the name it pickles as."""
    coder = parts.coders[coder_id]
    name = coder.spec.urn.removeprefix("beam:coder:").removesuffix(":v1")
    if "pickled_python" in name:
        name = _python_name(coder.spec.payload)
    inner = ", ".join(_coder(one, parts) for one in coder.component_coder_ids)
    return f"{name}({inner})" if inner else name


def _python_name(payload: bytes) -> str:
    """A coder's name and, where it has one, the version of its format."""
    coder = deserialize_coder(payload)
    return f"{type(coder).__name__} {coder.format}" if hasattr(coder, "format") else type(coder).__name__


def broken_by(released: Graph, today: Graph, mapping: Mapping[str, str] | None = None) -> list[str]:
    """What would break `--update` of a job with the graph `released`: one line each, none if the update would work.

    `mapping`: released label to today's, for steps that were renamed.
    """
    renamed = mapping or {}
    problems = []
    for label, step in released.items():
        found = today.get(renamed.get(label, label))
        if found is None:
            problems.append(f"{label}: is gone, and with it what it holds; renamed steps need a mapping")
            continue
        if found.inputs != step.inputs:
            problems.append(f"{label}: takes {found.inputs}, the released one {step.inputs}")
        problems += [
            f"{label}: {name} was {coder}, is {found.holds.get(name, 'gone')}"
            for name, coder in step.holds.items()
            if found.holds.get(name) != coder
        ]
    return problems


def name_mapping(released: Graph, today: Graph) -> dict[str, str]:
    """Maps released labels that are gone to new ones with the same state: a proposal where each fits only one."""
    gone = {label: step for label, step in released.items() if label not in today}
    new = {label: step for label, step in today.items() if label not in released}
    fitting = {label: [other for other, held in new.items() if held == step] for label, step in gone.items()}
    taken = [others[0] for others in fitting.values() if len(others) == 1]
    return {label: others[0] for label, others in fitting.items() if len(others) == 1 and taken.count(others[0]) == 1}


def mapping_argument(released: Graph, today: Graph) -> str:
    """The argument needed beside `--update`; empty if no step was renamed."""
    mapping = name_mapping(released, today)
    return f"--transform_name_mapping={json.dumps(mapping)}" if mapping else ""


def to_json(graph: Graph) -> str:
    """The graph as the text that is committed with a release."""
    steps = {label: {"inputs": list(step.inputs), "holds": dict(step.holds)} for label, step in graph.items()}
    return json.dumps(steps, indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> dict[str, Step]:
    """The inverse of `to_json`."""
    return {label: Step(tuple(step["inputs"]), step["holds"]) for label, step in json.loads(text).items()}
