"""Sinks that are services: how each is opened before a job runs, or only examined, and how it is written."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import apache_beam as beam

from pipeline.endpoints.added.sink import AddedSink, added_sink
from pipeline.endpoints.bigquery import address as bigquery_address
from pipeline.endpoints.bigquery import sink as bigquery_sink
from pipeline.endpoints.bigquery import tables as bigquery_tables
from pipeline.endpoints.kafka import address as kafka_address
from pipeline.endpoints.kafka import sink as kafka_sink
from pipeline.endpoints.pubsub import address as pubsub_address
from pipeline.endpoints.pubsub import sink as pubsub_sink
from pipeline.endpoints.uris import FILE_SCHEMES, STDOUT, scheme_of


class SinkService(NamedTuple):
    """A sink that is not a folder.

    `label` is that of its step; `check` opens it for a run, and creates a table; `look` reports what exists and creates
    nothing; `write` writes a record's batches to it.
    """

    label: str
    check: Callable[[str, str, str], None]
    look: Callable[[str, str, str], str]
    write: Callable[[str, str], beam.PTransform[Any, Any]]


def _check_topic(uri: str, spec_path: str, record: str) -> None:
    kafka_sink.check_topic_writable(kafka_address.kafka_address(uri, spec_path), spec_path)


def _look_for_topic(uri: str, spec_path: str, record: str) -> str:
    _check_topic(uri, spec_path, record)
    return _is_there(uri)


def _write_topic(uri: str, record: str) -> beam.PTransform[Any, Any]:
    return kafka_sink.WriteTopic(kafka_address.kafka_address(uri, "sinks"), record)


def _check_messages(uri: str, spec_path: str, record: str) -> None:
    pubsub_sink.check_writable(pubsub_address.sink_address(uri, spec_path), spec_path)


def _look_for_messages(uri: str, spec_path: str, record: str) -> str:
    _check_messages(uri, spec_path, record)
    return _is_there(uri)


def _write_messages(uri: str, record: str) -> beam.PTransform[Any, Any]:
    return pubsub_sink.WriteMessages(pubsub_address.sink_address(uri, "sinks"), record)


def _check_table(uri: str, spec_path: str, record: str) -> None:
    bigquery_tables.ensure_table(bigquery_address.table_address(uri, spec_path), record, spec_path)


def _look_for_table(uri: str, spec_path: str, record: str) -> str:
    there = bigquery_tables.find_table(bigquery_address.table_address(uri, spec_path), record, spec_path)
    return f"{uri} is there and fits" if there else f"{uri} will be created"


def _write_table(uri: str, record: str) -> beam.PTransform[Any, Any]:
    return bigquery_sink.WriteTable(bigquery_address.table_address(uri, "sinks"), record)


def _is_there(uri: str) -> str:
    return f"{uri.partition('?')[0]} is there"


SERVICES: Mapping[str, SinkService] = {
    kafka_address.SCHEME: SinkService("Topic", _check_topic, _look_for_topic, _write_topic),
    pubsub_address.SCHEME: SinkService("Messages", _check_messages, _look_for_messages, _write_messages),
    bigquery_address.SCHEME: SinkService("Table", _check_table, _look_for_table, _write_table),
}


def service_of(uri: str, spec_path: str) -> SinkService | AddedSink | None:
    """The service that a sink's URI means, built in or of a plug-in; None for files and standard output.

    Raises:
        PlugInBroken: the plug-in cannot be used.
    """
    scheme = scheme_of(uri)
    if uri == STDOUT or scheme in FILE_SCHEMES:
        return None
    return SERVICES.get(scheme) or added_sink(uri, spec_path)
