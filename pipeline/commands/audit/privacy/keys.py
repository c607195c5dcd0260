"""Which key store a verb uses, and where it says what it did with it."""

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

from models.privacy.key_store import KeyStore
from models.redaction import public_uri
from models.store.backends import Backend
from models.store.store import ModelStore
from pipeline.command_line.key_stores import KEY_STORE, add_keys_option, key_store_at, keys_url
from pipeline.command_line.parsing import OneLineParser, add_actor_option, add_store_options
from pipeline.commands.audit.location import TOPICS, audit_url, read_job
from pipeline.spec.job import with_defaults
from pipeline.spec.sinks import uris_of
from schemas.validation import MISSING, SpecError


class KeyLocation(NamedTuple):
    """A key store by its URL, and what is beside it; `audit`: None where the job's is a topic or there is none, for the
    reason `no_audit`; `stores`: of the models, empty where none is named."""

    keys: KeyStore
    url: str
    spec: Mapping[str, Any]
    audit: str | None
    no_audit: str
    stores: tuple[ModelStore, ...]

    @property
    def job(self) -> str | None:
        """The job's name."""
        name: str | None = self.spec.get("job")
        return name

    @property
    def topics(self) -> list[tuple[str, str]]:
        """The sinks of the job that are no files: name and URI."""
        sinks = (self.spec.get("sinks") or {}).items()
        named = ((name, uri) for name, stated in sinks if name != "format" for uri in uris_of(stated))
        return [(name, public_uri(uri)) for name, uri in named if uri.startswith(TOPICS)]

    @property
    def audit_backend(self) -> Backend | None:
        """The audit, to be written to."""
        return None if self.audit is None else Backend(self.audit)


def subject_parser(verb: str, description: str) -> OneLineParser:
    """The options that `erase` and `hold` share."""
    parser = OneLineParser(f"halflife audit {verb}", description)
    parser.add_argument("subject", metavar="SUBJECT", help="the subject, as the column events.subject has it")
    add_keys_option(parser)
    parser.add_argument("--audit", metavar="URL", help=f"the audit: {KEY_STORE} (default: sinks.audit of the job)")
    add_actor_option(parser)
    add_store_options(parser)
    return parser


def find_keys(options: argparse.Namespace) -> KeyLocation:
    """The key store that the options name.

    Raises:
        SpecError: it is not named, or the audit is not.
        NoKeyStore, InvalidStoreUrl, StoreUnavailable: as `key_store_at`.
    """
    spec = read_job(options)
    url = keys_url(options, spec)
    if url is None:
        job = f"privacy.keys in {options.job}" if options.job else "--job FILE with privacy.keys"
        raise SpecError("--keys", MISSING, f"{KEY_STORE}, or {job}")
    audit, no_audit = _audit(options, spec)
    keys = key_store_at(url)
    return KeyLocation(keys, public_uri(url), spec, audit, no_audit, _stores(options, spec))


def _audit(options: argparse.Namespace, spec: Mapping[str, Any]) -> tuple[str | None, str]:
    """The audit's URL, or why there is none: a job without one can be obeyed all the same."""
    named = options.audit or (spec.get("sinks") or {}).get("audit")
    if spec and named is None:
        return None, "the job has no sinks.audit"
    if spec and all(each.startswith(TOPICS) for each in uris_of(named)):
        given = public_uri(", ".join(uris_of(named)))
        return None, f"sinks.audit of the job, {given}, is no folder; next: --audit URL of its copy"
    return audit_url(options, spec), ""


def _stores(options: argparse.Namespace, spec: Mapping[str, Any]) -> tuple[ModelStore, ...]:
    model = with_defaults(spec, "model")
    url, name = options.store or model.get("store"), options.model or model.get("name")
    if url is None:
        return ()
    names = [str(name)] if name is not None else ModelStore(str(url), "any").models()
    return tuple(ModelStore(str(url), each) for each in names)
