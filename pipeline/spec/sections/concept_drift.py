"""`labels.concept_drift` of a job spec: which detectors read the errors that labels show."""

from collections.abc import Mapping
from typing import Any

import msgspec

from models.distribution import installing
from pipeline.spec.expansion import section_of
from schemas.job import ConceptDriftSpec
from schemas.validation import Absent, SpecError
from transforms.quality.changes.detectors import EXTRA, LIBRARY, is_there

KEY = "concept_drift"


def concept_drift_of(labels: Mapping[str, Any]) -> ConceptDriftSpec | None:
    """What a section `labels` of a valid document says of detectors; None where nothing."""
    return msgspec.convert(labels[KEY], ConceptDriftSpec) if KEY in labels else None


def check_detectors(document: Mapping[str, Any]) -> None:
    """Raises `SpecError` where a document names detectors whose library is not installed here."""
    if KEY in section_of(document, "labels") and not is_there():
        raise SpecError(f"labels.{KEY}", Absent(f"{LIBRARY} is not installed"), f"it; {installing(EXTRA)}")
