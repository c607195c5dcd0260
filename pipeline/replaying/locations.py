"""Where a replay writes: in a folder of its own, apart from the job's sinks and its store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.endpoints.sink_locations import audit_uris, check_training_folder
from pipeline.endpoints.uris import FILE_SCHEMES, absolute, location, scheme_of
from pipeline.spec.sinks import sink_uris
from schemas.job import Job, SinksSpec
from schemas.validation import SpecError


def check_folder(document: Mapping[str, Any], out: str) -> None:
    """Raises `SpecError` where `--out` is the folder of a sink, within one, or around one, or is in the model store."""
    check_training_folder(document, out)
    own = location(absolute(out))
    for spec_path, uri in sink_uris(document).items():
        if scheme_of(uri) not in FILE_SCHEMES:
            continue
        of_audit = spec_path.startswith("sinks.audit")
        for folder in {location(each) for each in (uri, *(audit_uris(uri) if of_audit else ()))}:
            if _is_within(own, folder) or _is_within(folder, own):
                apart = f"a folder apart from that of {spec_path}, {uri}, whose records it must not mix with"
                raise SpecError("--out", out, apart)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def replayed(job: Job, out: str) -> Job:
    """The job with its records below `out`."""
    folder = absolute(out).rstrip("/")
    scores, audit, drift, letters = (f"{folder}/{name}" for name in ("scores", "audit", "drift", "dead_letters"))
    return replace(job, sinks=SinksSpec(scores, (audit,), drift, letters, job.sinks.format))
