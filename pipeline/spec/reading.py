"""The job spec that a command line names: read, settings applied, paths expanded, and all its errors collected."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.plug_ins import AGGREGATES, installed
from pipeline.spec.checks import spec_errors
from pipeline.spec.documents import apply_settings, read_document
from pipeline.spec.expansion import expand_paths
from schemas.problems import Problems
from schemas.validation import SpecError, all_errors


def _is_added(error: SpecError) -> bool:
    """Whether an aggregate that the schema does not list is that of an installed plug-in."""
    of_feature = error.path.startswith("features[") and error.path.endswith("].aggregate")
    return of_feature and isinstance(error.value, str) and error.value in installed(AGGREGATES)


def read_spec(job: Path | str | Mapping[str, Any] | None, settings: Sequence[str]) -> tuple[dict[str, Any], Problems]:
    """The document of a file, or a mapping itself, and what is wrong with it as far as it shows without a look at files
    and services that it names.

    Raises:
        SpecError: there is no document to check further.
    """
    document, problems = read_document(job), Problems()
    with problems.gathered():
        apply_settings(document, settings)
    problems.add(error for error in all_errors(document, "job") if not _is_added(error))
    expand_paths(document, problems)
    problems.add(spec_errors(document, problems.sound))
    return document, problems
