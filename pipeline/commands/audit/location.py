"""Where the audit and the store are that a verb asks, and how an answer ends."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from audit.asking.sources import AuditSources, UnknownToAudit
from audit.files.audit import Audit, NoAudit
from audit.files.chain import BrokenChain
from models.store.store import ModelStore
from pipeline.command_line.key_stores import add_keys_option, keys_url
from pipeline.command_line.parsing import add_actor_option, add_store_options
from pipeline.commands.output import Refused
from pipeline.reporting.printer import note
from pipeline.spec.environment import JOB, STORE
from pipeline.spec.job import with_defaults
from pipeline.spec.reading import read_spec
from pipeline.spec.sinks import uris_of
from schemas.validation import MISSING, SpecError

if TYPE_CHECKING:
    from audit.files.found.receipt_keys import ReceiptKeys

_FOLDER = "a folder, or an s3://, gs:// or az:// URL"
TOPICS = ("kafka://", "pubsub://", "bigquery://", "stdout:")


def add_audit_options(parser: argparse.ArgumentParser) -> None:
    """Where audit, store and key store are: `--job`, or `--audit`, `--store` and `--keys`; and who asks."""
    parser.add_argument("--audit", metavar="URL", help=f"the audit: {_FOLDER} (default: sinks.audit of the job)")
    add_keys_option(parser)
    add_actor_option(parser)
    add_store_options(parser)


def read_job(options: argparse.Namespace) -> Mapping[str, Any]:
    """The spec of `--job`; empty without one.

    Raises:
        SpecError: it is wrong.
    """
    if options.job is None:
        if options.settings:
            raise SpecError("--set", options.settings[0], "only together with --job")
        return {}
    document, problems = read_spec(options.job, options.settings)
    problems.check()
    return document


def find_sources(options: argparse.Namespace, known_at_us: int | None = None) -> AuditSources:
    """The audit and the store that the options name.

    Raises:
        SpecError: one of them is not named, or is a topic; the spec is wrong.
        StoreError: a URL is not allowed.
        NoAudit: there is no audit.
    """
    spec = read_job(options)
    model = with_defaults(spec, "model")
    url, store = audit_url(options, spec), options.store or model.get("store")
    if store is None:
        expected = f"a value, or --job FILE to take it from, or {STORE} or {JOB} in the environment"
        raise SpecError("--store", MISSING, expected)
    opened = Audit(url, keys_of(options, spec))
    opened.check()
    pickles = bool(getattr(options, "allow_pickle", False) or model["allow_pickle"])
    return AuditSources(opened, str(store), options.by, pickles, known_at_us)


def keys_of(options: argparse.Namespace, spec: Mapping[str, Any]) -> "ReceiptKeys | None":
    """The keys of `--keys`, or of a job with privacy; None without either.

    Raises:
        StoreError: their URL is not allowed.
    """
    url = keys_url(options, spec)
    if url is None:
        return None
    from audit.files.found.receipt_keys import ReceiptKeys  # few jobs have keys, and it takes a while to import

    return ReceiptKeys(url)


def audit_url(options: argparse.Namespace, spec: Mapping[str, Any]) -> str:
    """The URL of the audit; of several the first that is of files.

    Raises:
        SpecError: it is not named, or is a topic.
    """
    given = options.audit
    if given is None and not spec:
        raise SpecError("--audit", MISSING, f"{_FOLDER}, or --job FILE whose sinks.audit names it")
    name, found = ("--audit", given) if given else ("sinks.audit", (spec.get("sinks") or {}).get("audit"))
    of_files = [each for each in uris_of(found) if not each.startswith(TOPICS)]
    if found is None:
        kept = f"{_FOLDER}; a job without it keeps no receipts, and nobody can say later how it scored"
        raise SpecError(name, MISSING, kept)
    if not of_files:
        expected = f"{_FOLDER}, since audit reads files; next: --audit URL of the folder that the topic is copied to"
        raise SpecError(name, found, expected)
    return of_files[0]


def model_of(options: argparse.Namespace, sources: AuditSources) -> str:
    """The model that is asked about: `--model`, that of the job, or the only one of the store.

    Raises:
        SpecError: there are several, or the store does not have it.
    """
    named = options.model or with_defaults(read_job(options), "model").get("name")
    known = ModelStore(sources.store_url, str(named or "any")).models()
    if named is None and len(known) == 1:
        return known[0]
    if named is None or named not in known:
        where = f"a model of {sources.store_url}: {', '.join(known[:20]) or 'it has none'}"
        raise SpecError("--model", MISSING if named is None else named, where)
    return str(named)


def models_of(options: argparse.Namespace, sources: AuditSources) -> list[str]:
    """The models that are asked about: `--model`, that of the job, or all of the store.

    Raises:
        SpecError: the store does not have it.
    """
    if options.model or with_defaults(read_job(options), "model").get("name"):
        return [model_of(options, sources)]
    return ModelStore(sources.store_url, "any").models()


def letters_url(options: argparse.Namespace) -> str | None:
    """The folder of the job's dead letters; None without a job, or where they go elsewhere."""
    found = (read_job(options).get("sinks") or {}).get("dead_letters")
    return None if found is None or str(found).startswith(TOPICS) else str(found)


@contextmanager
def asked(options: argparse.Namespace, known_at_us: int | None = None) -> Iterator[AuditSources]:
    """What the options name, to be asked in the block; after the answer each finding is said on a line.

    Raises:
        Refused: there is a finding, or the audit has nothing of what was asked for.
        SpecError, StoreError: as `find_sources`.
    """
    try:
        sources = find_sources(options, known_at_us)
    except (NoAudit, BrokenChain) as error:
        raise Refused(str(error)) from None
    try:
        yield sources
    except BrokenChain as error:
        raise Refused(str(error)) from None
    except UnknownToAudit as error:
        _say(sources)
        raise Refused(str(error)) from None
    if _say(sources):
        raise Refused


def _say(sources: AuditSources) -> bool:
    findings = sources.closing_findings()
    for finding in findings:
        note(finding, "error")
    if delay := sources.audit.looked_through.delay:
        note(delay)
    return bool(findings)
