"""Where a replay writes: in a folder of its own, apart from the job's sinks and its store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.endpoints.sink_locations import audit_uris, check_training_folder
from pipeline.endpoints.uris import FILE_SCHEMES, absolute, location, scheme_of
from schemas.job import Job, SinksSpec
from schemas.validation import SpecError


def check_folder(document: Mapping[str, Any], out: str) -> None:
    """Raises `SpecError` where `--out` is the folder of a sink, within one, or around one, or is in the model store."""
    check_training_folder(document, out)
    own = location(absolute(out))
    for name, uri in (document.get("sinks") or {}).items():
        if name == "format" or scheme_of(uri) not in FILE_SCHEMES:
            continue
        for folder in {location(each) for each in (uri, *(audit_uris(uri) if name == "audit" else ()))}:
            if _is_within(own, folder) or _is_within(folder, own):
                apart = f"a folder apart from that of sinks.{name}, {uri}, whose records it must not mix with"
                raise SpecError("--out", out, apart)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def replayed(job: Job, out: str) -> Job:
    """The job with its records below `out`."""
    folder = absolute(out).rstrip("/")
    scores, audit, drift, letters = (f"{folder}/{name}" for name in ("scores", "audit", "drift", "dead_letters"))
    return replace(job, sinks=SinksSpec(scores, audit, drift, letters, job.sinks.format))
