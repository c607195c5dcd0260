"""The data sets that a job reads and writes, by the names that OpenLineage gives to locations."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from models.redaction import hide_values, public_uri
from pipeline.endpoints.sink_locations import audit_uris
from pipeline.endpoints.uris import STDOUT, beam_path, scheme_of
from pipeline.spec.sinks import sink_uris
from pipeline.spec.tables import tables_in

_FORMS = {"kafka": "TOPIC", "pubsub": "TOPIC", "bigquery": "TABLE"}


class DataSet(NamedTuple):
    """A data set: its namespace and name, what it is (FILE, TOPIC, TABLE), and what the job uses it for."""

    namespace: str
    name: str
    kind: str
    use: str


def inputs_of(document: Mapping[str, Any]) -> list[DataSet]:
    """What the job of a resolved spec reads, beside the versions of its model."""
    return list(dict.fromkeys(_inputs(document)))


def outputs_of(document: Mapping[str, Any]) -> list[DataSet]:
    """What the job of a resolved spec writes."""
    return list(dict.fromkeys(_outputs(document)))


def named(uri: str, use: str, kind: str | None = None) -> DataSet:
    """A location without credentials, by the names of OpenLineage.

    >>> named("kafka://broker:9092/departures?group=a", "events")[:3]
    ('kafka://broker:9092', 'departures', 'TOPIC')
    >>> named("file:///data/departures-*.avro", "events")[:3]
    ('file', '/data/departures-*.avro', 'FILE')
    >>> named("s3://key:secret@bucket/scores", "scores")[:3]
    ('s3://bucket', 'scores', 'FILE')
    """
    scheme = scheme_of(uri)
    if scheme == "file":
        return DataSet("file", hide_values(beam_path(uri)), kind or "FILE", use)
    parts = urlsplit(hide_values(public_uri(uri)))
    kind = kind or _FORMS.get(scheme, "FILE")
    if scheme == "bigquery":  # its whole name is its address
        return DataSet(scheme, "_".join([parts.netloc, *filter(None, parts.path.split("/"))]), kind, use)
    if scheme == "pubsub":
        words = [word for word in parts.path.split("/") if word]
        what = "subscription" if use == "events" and words[0] != "topics" else "topic"
        return DataSet(scheme, ":".join([what, parts.netloc, words[-1]]), kind, use)
    return DataSet(f"{scheme}://{parts.netloc}", parts.path.strip("/") or "/", kind, use)


def _inputs(document: Mapping[str, Any]) -> Iterator[DataSet]:
    for section in ("events", "labels"):
        uri = (document.get(section) or {}).get("uri")
        if uri is not None:
            yield named(uri, section)
    for _, table in tables_in(document):
        if "uri" in table:
            yield named(table["uri"], "lookup", "TABLE")
        elif "store" in table:
            yield named(f"{document['model']['store'].rstrip('/')}/tables/{table['store']}", "lookup", "TABLE")


def _outputs(document: Mapping[str, Any]) -> Iterator[DataSet]:
    for spec_path, uri in sink_uris(document).items():
        use = spec_path.removeprefix("sinks.").partition("[")[0]
        locations = zip(("receipts", "model events"), audit_uris(uri), strict=True) if use == "audit" else [(use, uri)]
        yield from (named(location, what) for what, location in locations if location != STDOUT)
