"""What a BigQuery URI may say."""

import pytest

from pipeline.endpoints.bigquery.address import table_address
from schemas.validation import SpecError


def test_table_is_named_by_project_dataset_and_table() -> None:
    address = table_address("bigquery://my-project.flights.scores", "sinks.scores")
    assert address.default_stream == "projects/my-project/datasets/flights/tables/scores/streams/_default"
    assert table_address("bigquery://example.com:my-project.d.t", "x").project == "example.com:my-project"


def test_folder_below_a_sink_is_a_table_of_its_own() -> None:
    assert table_address("bigquery://my-project.flights.audit/receipts", "sinks.audit").table == "audit_receipts"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (
            "bigquery://flights.scores",
            "'bigquery://flights.scores' is not allowed; expected: bigquery://project.dataset",
        ),
        ("bigquery://my-project/flights/scores", "expected: bigquery://project.dataset.table, without options"),
        ("bigquery://my-project.flights.scores?x=1", "without options"),
        ("bigquery://UPPER.flights.scores", "'UPPER' is not allowed; expected: the id of a project"),
        ("bigquery://my-project.fli-ghts.scores", "'fli-ghts' is not allowed; expected: a dataset of letters"),
        ("bigquery://my-project.flights.sc$res", r"'sc\$res' is not allowed; expected: a table of letters"),
    ],
)
def test_wrong_table_is_refused_in_one_line(uri: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        table_address(uri, "sinks.scores")
    assert str(refused.value).startswith("sinks.scores: ")
