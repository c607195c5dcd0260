"""The job of a spec as its input shows it, before there is a graph: without Beam where the input is in local files."""

from typing import Any, NamedTuple

from pipeline.command_line.options import RunOptions
from pipeline.endpoints.epochs import check_time_unit
from pipeline.endpoints.errors import NothingMatches
from pipeline.endpoints.lookups.open_lookups import open_lookups
from pipeline.endpoints.resolved import resolve
from pipeline.endpoints.sample import sampled_types
from pipeline.endpoints.sources import EventSource, Files, open_source
from pipeline.spec.checks import identity_columns, needed_columns
from pipeline.spec.columns import kinds_of
from pipeline.spec.job import parse_job
from schemas.errors import HalflifeError
from schemas.job import Job
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.timed_table import TimedTable


class TypedJob(NamedTuple):
    """A job whose columns have types. `remark`: what the first records of its input show that is not an error.
    `tables`: those of its lookups, which whoever holds this keeps in memory."""

    job: Job
    source: EventSource
    remark: str = ""
    tables: tuple[AsOfTable | TimedTable, ...] = ()


def typed_job(document: dict[str, Any], source: EventSource) -> TypedJob:
    """The job of a resolved spec; the types of its columns are inferred from the source unless it states them.

    Raises:
        SpecError: the spec is wrong (exit 2).
        NoInput, OSError: the input, or a table of a lookup, cannot be read (exit 1).
    """
    events = document["events"]
    columns = kinds_of(events.get("columns") or {})
    if "columns" not in events:
        needed, identity = needed_columns(document), identity_columns(document)
        columns = sampled_types(source.sample([*identity, *needed]), events["format"], needed, identity)
    remark = ""
    if "columns" not in events or isinstance(source, Files):  # do not wait for a topic only to look at its times
        remark = check_time_unit(source.sample([events["event_time"]]), events)
    lookups = open_lookups(document, columns)
    return TypedJob(parse_job(document, columns, lookups=lookups.specs), source, remark, lookups.tables)


def open_job(options: RunOptions) -> TypedJob:
    """The job of a command line, for whoever runs no graph; a guess of the input's format is told.

    Raises:
        SpecError, NoInput, OSError: as `typed_job`.
    """
    document = resolve(options)
    return typed_job(document, open_source(document["events"]))


def open_if_arrived(options: RunOptions) -> TypedJob | HalflifeError:
    """As `open_job`; where no file of the input is there yet, the error that says so."""
    try:
        return open_job(options)
    except NothingMatches as error:
        return error
