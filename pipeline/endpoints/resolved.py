"""The job spec of a command line: settings applied, URIs absolute, schemes checked to have an endpoint."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.bundles.signing import read_public_key
from models.errors import StoreError
from models.plug_ins import SINKS, SOURCES, installed
from models.store.store import ModelStore
from pipeline.command_line.options import RunOptions
from pipeline.endpoints import sink_locations, sources
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.kafka import address as kafka_address
from pipeline.endpoints.reading.stored import tell_file_systems
from pipeline.endpoints.sample import sampled_types
from pipeline.endpoints.uris import FILE_SCHEMES, STDOUT, absolute, check_scheme, scheme_of
from pipeline.process.audit_key import VARIABLE
from pipeline.spec.checks import column_errors, identity_columns, needed_columns
from pipeline.spec.columns import kinds_of
from pipeline.spec.expansion import section_of
from pipeline.spec.reading import read_spec
from pipeline.spec.sinks import sink_holders
from pipeline.spec.tables import tables_in
from schemas.problems import Problems
from schemas.validation import Absent, SpecError

_OF_LINEAGE = ("file", "http", "https")
_OF_LABELS = (*FILE_SCHEMES, kafka_address.SCHEME)


def resolve(options: RunOptions) -> dict[str, Any]:
    """The job spec with its settings and absolute URIs.

    Raises:
        SpecError: with everything that is wrong with it. Only in that case local input is examined too, so that columns
            that do not exist are reported together with the other errors.
    """
    if isinstance(options.job, str) and scheme_of(options.job) != "file":
        tell_file_systems(options.beam)
    document, problems = read_spec(options.job, options.settings)
    _absolute_uris(document, problems)
    if _names_a_bucket(document):
        tell_file_systems(options.beam)
    if problems:
        with problems.gathered(), suppress(NoInput, OSError):
            _look_at_columns(document, problems)
    problems.check()
    return document


def _absolute_uris(document: dict[str, Any], problems: Problems) -> None:
    """Makes local paths absolute, and replaces the name of the trusted key's file by the key itself."""
    problems.add(sink_locations.sink_errors(document, problems.sound))
    if problems.sound("events.uri") and "uri" in document["events"]:
        with problems.gathered():
            document["events"]["uri"] = _endpoint(document["events"]["uri"], "events.uri", sources.SCHEMES, SOURCES)
    for spec_path, holder, key in sink_holders(document):
        if problems.sound(spec_path):
            with problems.gathered():
                holder[key] = _endpoint(holder[key], spec_path, sink_locations.SCHEMES, SINKS, (STDOUT,))
    if problems.sound("labels.uri") and "uri" in document.get("labels", {}):
        with problems.gathered():
            document["labels"]["uri"] = _endpoint(document["labels"]["uri"], "labels.uri", _OF_LABELS)
    for section, table in tables_in(document):
        if problems.sound(f"{section}.uri") and "uri" in table:
            with problems.gathered():
                table["uri"] = _endpoint(table["uri"], f"{section}.uri", FILE_SCHEMES)
    if problems.sound("model.store") and "store" in document["model"]:
        with problems.gathered():
            document["model"]["store"] = _store_url(document["model"]["store"], "model.store")
    if problems.sound("privacy.keys") and "keys" in section_of(document, "privacy"):
        with problems.gathered():
            document["privacy"]["keys"] = _store_url(document["privacy"]["keys"], "privacy.keys")
    if problems.sound("openlineage.uri") and "uri" in section_of(document, "openlineage"):
        with problems.gathered():
            lineage = document["openlineage"]
            lineage["uri"] = _endpoint(lineage["uri"], "openlineage.uri", _OF_LINEAGE)
    if problems.sound("audit.key"):
        _absolute_key(section_of(document, "audit"))
    if problems.sound("model.trusted_key"):
        with problems.gathered():
            _read_trusted_key(document["model"])


def _names_a_bucket(document: Mapping[str, Any]) -> bool:
    """Whether something is read from elsewhere than this machine's disk."""
    tables = (table for _, table in tables_in(document))
    uris = [each.get("uri") for each in (section_of(document, "events"), section_of(document, "labels"), *tables)]
    return any(isinstance(uri, str) and scheme_of(uri) != "file" for uri in uris)


def _endpoint(
    uri: str, spec_path: str, schemes: tuple[str, ...], group: str = "", others: tuple[str, ...] = ()
) -> str:
    known = schemes if scheme_of(uri) in schemes else (*schemes, *(set(installed(group)) - set(schemes)))
    check_scheme(uri, spec_path, others, known)
    if scheme_of(uri) == kafka_address.SCHEME:
        kafka_address.kafka_address(uri, spec_path)
    return absolute(uri)


def _look_at_columns(document: dict[str, Any], problems: Problems) -> None:
    """What is wrong with the uses of columns, where the events can be read in spite of errors elsewhere."""
    if not all(problems.sound(f"events.{key}") for key in ("uri", "format", "csv", "envelope", "columns")):
        return
    events = document["events"]
    if "uri" not in events:  # misspelt
        return
    if "columns" not in events and scheme_of(events["uri"]) == "file":
        needed, identity = needed_columns(document, problems.sound), identity_columns(document, problems.sound)
        sample = sources.open_source(events).sample([*identity, *needed])
        columns = sampled_types(sample, events["format"], needed, identity)
        problems.add(column_errors(document, columns, problems.sound))
    elif "columns" in events:
        problems.add(column_errors(document, kinds_of(events["columns"]), problems.sound))


def _store_url(url: str, spec_path: str) -> str:
    try:
        return ModelStore(url, "check").url
    except StoreError as error:
        raise _of_spec(spec_path, error, "store ") from None


def _of_spec(path: str, error: StoreError, named: str) -> SpecError:
    """The store's message about a value as an error of the spec; `named`: its beginning, which the path repeats."""
    found, _, expected = str(error).partition("; expected: ")
    return SpecError(path, Absent(found.removeprefix(named)), expected or "one that can be used")


def _absolute_key(audit: Any) -> None:
    """The file of the private key is named as it is found from anywhere; the key itself stays there."""
    if "key" in audit and not VARIABLE.fullmatch(audit["key"]):
        audit["key"] = str(Path.cwd() / Path(audit["key"]).expanduser())


def _read_trusted_key(model: dict[str, Any]) -> None:
    """Workers need not have the key's file."""
    if "trusted_key" in model:
        try:
            model["trusted_key"] = read_public_key(model["trusted_key"])
        except StoreError as error:
            raise _of_spec("model.trusted_key", error, "trusted key ") from None
