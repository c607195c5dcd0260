"""The labels of a run in its summary."""

import pytest

from pipeline.reporting.quality_counts import quality_counts, quality_rows
from transforms.flow import metrics


@pytest.mark.parametrize(
    ("true", "false", "row"),
    [
        (0, 4374, ("events whose label is true", "none: all 4,374 are false; is labels.positive right?")),
        (12, 0, ("events whose label is false", "none: all 12 are true; is labels.positive right?")),
        (1, 4373, None),
        (0, 0, None),  # of numbers, or no label came
    ],
)
def test_labels_of_one_class_are_said(true: int, false: int, row: tuple[str, str] | None) -> None:
    found = quality_counts({metrics.LABELS_READ: 5000, metrics.LABELS_TRUE: true, metrics.LABELS_FALSE: false})
    assert found["classes"] == {"true": true, "false": false}
    assert [each for each in quality_rows(found) if "whose label is" in each[0]] == ([] if row is None else [row])
