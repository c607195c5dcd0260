"""Every kind's answer is its library's answer for that record alone: see `tests.models.scorers.alone`."""

from pathlib import Path

import pytest

from tests.models.scorers.alone import Case, all_cases, differences, sampled


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.label)
def test_answer_is_the_librarys_for_that_record_alone(
    case: Case, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for fixture in case.fixtures:
        request.getfixturevalue(fixture)
    found = differences(case, tmp_path / "bundle", sampled)
    assert not found, f"{len(found)} answers differ: " + "; ".join(str(each) for each in found[:5])
