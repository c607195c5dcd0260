"""The job spec of a command line: settings applied, URIs absolute, and none of a scheme that has no endpoint."""

from typing import Any

from models.errors import StoreError
from models.redaction import public_uri
from models.signing import read_public_key
from models.store import ModelStore
from pipeline.documents import apply_settings, read_document
from pipeline.endpoints import sinks as sink_endpoints
from pipeline.endpoints import sources
from pipeline.endpoints.uris import STDOUT, absolute, check_scheme
from pipeline.job import checked
from pipeline.options import RunOptions
from schemas.validation import SpecError


def resolve(options: RunOptions) -> dict[str, Any]:
    """The job spec with its settings and absolute URIs, without a look at what they lead to. Raises `SpecError`."""
    document = read_document(options.job)
    apply_settings(document, options.settings)
    checked(document)
    _absolute_uris(document)
    _read_trusted_key(document["model"])
    return document


def _absolute_uris(document: dict[str, Any]) -> None:
    check_scheme(document["events"]["uri"], "events.uri", schemes=sources.SCHEMES)
    document["events"]["uri"] = absolute(document["events"]["uri"])
    document["model"]["store"] = _store_url(document["model"]["store"])
    sinks = document.get("sinks", {})
    for name in [name for name in sinks if name != "format"]:
        uri = sinks[name]
        check_scheme(uri, f"sinks.{name}", (STDOUT,), sink_endpoints.SCHEMES)
        sinks[name] = absolute(uri)
    if "labels" in document:
        check_scheme(document["labels"]["uri"], "labels.uri")
        document["labels"]["uri"] = absolute(document["labels"]["uri"])


def _store_url(url: str) -> str:
    try:
        return ModelStore(url, "check").url
    except StoreError as error:
        raise SpecError("model.store", public_uri(url), f"the URL of an object store ({error})") from None


def _read_trusted_key(model: dict[str, Any]) -> None:
    """Puts the key itself in the place of its file's name: workers need not have the file."""
    if "trusted_key" in model:
        try:
            model["trusted_key"] = read_public_key(model["trusted_key"])
        except StoreError as error:
            raise SpecError("model.trusted_key", model["trusted_key"], f"a public key ({error})") from None
