"""What features meant when receipts were written, by the starts that the audit holds: no source is needed for it."""

import json
from collections.abc import Mapping
from typing import Any

from audit.files.audit import Audit
from models.bundles.manifest import Manifest
from pipeline.spec.job import parse_job
from schemas.job import FeaturesSpec
from schemas.score_ids import definitions_digest, definitions_text
from schemas.validation import SpecError


class RecordedDefinitions:
    """The definitions of a version's inputs in each run of an audit."""

    def __init__(self, audit: Audit) -> None:
        events = (event for event in audit.model_events() if event["kind"] == "run_started")
        self._specs = {each["run"]: each.get("spec") for each in map(_evidence, events) if "run" in each}
        self._features = dict[str, FeaturesSpec | None]()

    def of(self, run: str | None, manifest: Manifest) -> str | None:
        """Their digest, as in a receipt of that run; None where the audit does not say it."""
        if run is None:
            return None
        if run not in self._features:
            self._features[run] = _features(self._specs.get(run))
        features = self._features[run]
        if features is None:
            return None
        return definitions_digest(definitions_text(features, [entry.name for entry in manifest.inputs]))


def _evidence(event: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(event["evidence"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _features(spec: Any) -> FeaturesSpec | None:
    """Those of a resolved spec; None for one that cannot be parsed here, or that joins tables."""
    if not isinstance(spec, dict) or spec.get("lookups"):
        return None
    try:
        return parse_job(spec, spec["events"]["columns"], typed=False).features
    except (SpecError, KeyError, TypeError, ValueError, AttributeError):
        return None
