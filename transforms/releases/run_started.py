"""The event that a job writes at each start: its spec, who started it, and the versions of its libraries."""

import functools
import json
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires

from ulid import ULID

from models.distribution import installed_version
from schemas.job import Job, Start
from schemas.records import ModelEvent
from schemas.score_ids import definitions_text

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PRODUCT = "halflife-beam"


def run_of(start: Start, known: str | None) -> str:
    """The id of this start, given the one in the job's state.

    A job that recovers finds its own id there. A graph that is submitted again, also from a savepoint, is another
    start. A job that was launched from a template finds no id at first, and makes one.
    """
    return start.run or known or str(ULID()).lower()


def run_started(job: Job, start: Start, run: str, at_us: int, replays: Sequence[str] = ()) -> ModelEvent:
    """The `run_started` event of a run: of no model, since a run may score with many versions.

    Its evidence has the run and the job, the resolved spec as it may be shown, the definitions of all windowed features
    (those of a version, in its inputs' order, make its `definitions`), the versions in this process, and of a replay
    the versions that it scores by (`replays`).
    """
    evidence = {
        "run": run,
        "job": job.name,
        "from_template": start.run is None,
        "spec": json.loads(start.spec),
        "definitions": definitions_text(job.features, job.features.names),
        "versions": dict(installed_versions()),
        **({"replays": list(replays)} if replays else {}),
    }
    text = json.dumps(evidence, ensure_ascii=False)
    return ModelEvent(at_us, "run_started", "", None, None, None, start.by, "", text)


@functools.cache  # reading what is installed takes longer than anything else of this event
def installed_versions() -> Mapping[str, str]:
    """The versions of Python, Halflife and every library it names that is installed in this process."""
    named = {_PRODUCT, *(_name(requirement) for requirement in _requirements())}
    found = {name: installed_version(name) for name in sorted(named)}
    return {"python": platform.python_version()} | {name: text for name, text in found.items() if text is not None}


def _requirements() -> list[str]:
    try:
        return requires(_PRODUCT) or []
    except PackageNotFoundError:  # a copy that was never installed: its libraries are still listed below
        return ["apache-beam", "fastavro", "numpy", "pyarrow", "pyruhvro"]


def _name(requirement: str) -> str:
    found = _NAME.match(requirement)
    return found[0] if found else requirement
