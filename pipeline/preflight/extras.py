"""Whether the libraries are installed that keys of a spec need and a plain installation lacks."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from models.distribution import installing
from pipeline.endpoints.bigquery import address as bigquery
from pipeline.endpoints.kafka import address as kafka
from pipeline.endpoints.pubsub import address as pubsub
from pipeline.endpoints.uris import scheme_of
from pipeline.spec.expansion import section_of
from pipeline.spec.sections.concept_drift import KEY as CONCEPT_DRIFT
from pipeline.spec.sinks import sink_uris
from runners.findings import Finding, fail, ok
from transforms.quality.changes import detectors


class Needed(NamedTuple):
    """What a key of a spec needs: the extra, and modules that it installs."""

    key: str
    extra: str
    modules: tuple[str, ...]


_BY_SCHEME: Mapping[str, tuple[str, tuple[str, ...]]] = {
    kafka.SCHEME: ("kafka", ("confluent_kafka",)),
    pubsub.SCHEME: ("gcp", ("google.cloud.pubsub_v1",)),
    bigquery.SCHEME: ("gcp", ("google.cloud.bigquery", "google.cloud.bigquery_storage")),
    "gs": ("gcp", ("google.cloud.storage",)),
    "s3": ("aws", ("boto3",)),
}
_TFEXAMPLE = "tfexample"
_SIGNING = ("model_signing", "OpenSSL")


def needed_by(document: Mapping[str, Any]) -> Iterator[Needed]:
    """What the keys of a valid document need. The kinds of its model's versions are not among them: admission tells."""
    for key, uri in _uris(document):
        if scheme_of(uri) in _BY_SCHEME:
            yield Needed(key, *_BY_SCHEME[scheme_of(uri)])
        if scheme_of(uri) == kafka.SCHEME and kafka.kafka_address(uri, key).registry:
            yield Needed(key, "kafka", ("requests",))
    for section in ("events", "labels"):
        if section_of(document, section).get("format") == _TFEXAMPLE:
            yield Needed(f"{section}.format", _TFEXAMPLE, ("tfx_bsl",))
    if CONCEPT_DRIFT in section_of(document, "labels"):
        yield Needed(f"labels.{CONCEPT_DRIFT}", detectors.EXTRA, (detectors.LIBRARY,))
    for key in ("trusted_key", "trust"):
        if section_of(document, "model").get(key):
            yield Needed(f"model.{key}", "signing", _SIGNING)
    if "openlineage" in document:
        yield Needed("openlineage", "openlineage", ("openlineage.client",))


def _uris(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is read and written by Beam; models and tables in a store are read without it."""
    for section in ("events", "labels"):
        if uri := section_of(document, section).get("uri"):
            yield f"{section}.uri", uri
    for number, lookup in enumerate(document.get("lookups", ())):
        if uri := section_of(lookup, "table").get("uri"):
            yield f"lookups[{number}].table.uri", uri
    yield from sink_uris(document).items()


def check_extras(document: Mapping[str, Any]) -> Iterator[Finding]:
    """A failure for each key whose library is not installed here, else one finding; none where no key needs one."""
    needed = list(needed_by(document))
    missing = [(each, name) for each in needed for name in each.modules if not is_there(name)]
    for each, name in missing:
        change = f"{installing(each.extra)}, here and where workers run"
        yield fail("extras", f"{each.key} needs {name}, which is not installed", change)
    if needed and not missing:
        said = {extra: [each.key for each in needed if each.extra == extra] for extra in (one.extra for one in needed)}
        of_each = [f"{extra} for {', '.join(dict.fromkeys(keys))}" for extra, keys in said.items()]
        yield ok("extras", f"installed here: {'; '.join(of_each)}")


def is_there(module: str) -> bool:
    """Whether a module can be imported; what it lies in is imported.

    >>> is_there("json"), is_there("no_such.module")
    (True, False)
    """
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
