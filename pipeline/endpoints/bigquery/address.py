"""BigQuery tables as URIs: `bigquery://project.dataset.table`."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.endpoints.uris import GOOGLE_PROJECT
from schemas.validation import SpecError

SCHEME = "bigquery"
_FORM = "bigquery://project.dataset.table, without options"
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
_TABLE = re.compile(r"[A-Za-z0-9_-]{1,1024}")


@dataclass(frozen=True, slots=True)
class TableAddress:
    """One table."""

    project: str
    dataset: str
    table: str

    @property
    def public(self) -> str:
        """The URI."""
        return f"{SCHEME}://{self.name}"

    @property
    def name(self) -> str:
        """The name that SQL knows it by."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def default_stream(self) -> str:
        """The stream of the Storage Write API that all writers share; appended rows are visible at once."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}/streams/_default"


def table_address(uri: str, spec_path: str) -> TableAddress:
    """The table of a URI; a sink's sub-folder is a table of its own, whose name follows an underscore.

    Raises:
        SpecError: another form, or a name that BigQuery does not accept.
    """
    parts = urlsplit(uri)
    words = parts.netloc.rsplit(".", 2)
    if len(words) != 3 or parts.query or parts.fragment:
        raise SpecError(spec_path, uri, _FORM)
    project, dataset, table = words[0], words[1], "_".join([words[2], *filter(None, parts.path.split("/"))])
    for name, form, allowed in (
        (project, GOOGLE_PROJECT, "the id of a project"),
        (dataset, _DATASET, "a dataset of letters, digits and underscores"),
        (table, _TABLE, "a table of letters, digits, underscores and hyphens"),
    ):
        if not form.fullmatch(name):
            raise SpecError(spec_path, name, allowed)
    return TableAddress(project, dataset, table)
