"""docs/design.md lists what the code has: reasons, kinds, keys of the summary, aggregates, scorers, verbs."""

import re

import pytest

from models.admission.admission import REASONS
from models.scorers import BUILT_IN
from pipeline.commands.audit.verbs import _VERBS as _VERBS_OF_AUDIT
from pipeline.commands.models.verbs import _VERBS
from pipeline.reporting.summary import summarise
from schemas.dead_letter_stages import STAGES
from schemas.records import MODEL_EVENT_KINDS, RECORDS
from schemas.validation import schema_of
from tests.docs.pages import ROOT
from transforms.features.aggregates import AGGREGATES


def section(number: int) -> str:
    """The text of a section of the design."""
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    return text.split(f"\n## {number}. ", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (4, STAGES),
        (5, (*REASONS, "invalid_release")),
        (5, tuple(schema_of("manifest")["properties"])),
        (5, tuple(schema_of("release")["properties"])),
        (6, (*MODEL_EVENT_KINDS, *RECORDS)),
        (7, tuple(AGGREGATES)),
        (8, tuple(schema_of("job")["properties"])),
        (9, tuple(summarise({}, 1.0, 0.5, {}, "r"))),
        (9, tuple(_VERBS)),
        (9, tuple(_VERBS_OF_AUDIT)),
        (10, tuple(BUILT_IN)),
    ],
)
def test_section_of_the_design_has_every_word_of_the_code(number: int, words: tuple[str, ...]) -> None:
    said = set(re.findall(r"\w+", section(number)))
    assert [word for word in words if word not in said] == []
