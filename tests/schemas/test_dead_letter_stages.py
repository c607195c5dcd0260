"""The stages of dead letters are defined in one module; the schema and the pages must agree with it."""

import ast
import json
import re
from pathlib import Path

import pytest

from schemas.dead_letter_stages import DECODE, LABELS, OF_EVENTS, STAGES
from tests.packaging.sources import ROOT, parsed, python_files

_MAKERS = {"DeadLetter", "letters_of", "of_rows", "count_letters", "dead_letters", "letters_by_error"}


def in_row(page: Path, first: str) -> set[str]:
    """What is marked as code in the row of a page's table that begins with `first`."""
    [row] = [line for line in page.read_text("utf-8").splitlines() if line.startswith(first)]
    return set(re.findall(r"`([^`]+)`", row))


def test_every_stage_is_before_the_events_of_them_or_of_labels() -> None:
    assert (DECODE, *OF_EVENTS, LABELS) == STAGES


def test_the_schema_and_the_words_list_the_stages_of_the_code() -> None:
    fields = json.loads((ROOT / "schemas" / "avsc" / "DeadLetter.avsc").read_text("utf-8"))["fields"]
    [stage] = [field for field in fields if field["name"] == "stage"]
    assert tuple(re.findall(r"\w+", stage["doc"].replace(" or ", " "))) == STAGES
    assert in_row(ROOT / "docs" / "words.md", "| stage |") == set(STAGES)


def test_the_page_has_an_error_for_every_stage_that_records_can_leave_at() -> None:
    text = (ROOT / "docs" / "dead-letters.md").read_text("utf-8")
    shown = re.findall(r"^\| `(\w+)` \|", text.partition("## Stages and errors")[2].partition("\n## ")[0], re.MULTILINE)
    assert tuple(dict.fromkeys(shown)) == (DECODE, *OF_EVENTS)  # no label is read yet


@pytest.mark.parametrize("room", ["transforms", "pipeline"])
def test_no_dead_letter_is_made_or_counted_with_a_stage_written_by_hand(room: str) -> None:
    calls = [one for path in python_files(room) for one in ast.walk(parsed(path)) if isinstance(one, ast.Call)]
    makers = [one for one in calls if getattr(one.func, "id", getattr(one.func, "attr", "")) in _MAKERS]
    assert len(makers) >= (room == "transforms")
    assert [ast.unparse(one) for one in makers if one.args and isinstance(one.args[0], ast.Constant)] == []
