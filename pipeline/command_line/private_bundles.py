"""Bundles of a job with `privacy`: what may not be in them, and what a bundle says of it."""

import argparse
from collections.abc import Mapping
from typing import Any

from models.bundles.manifest import Manifest
from models.publishing.description import CannotPublish
from models.publishing.hiding import Hiding
from pipeline.command_line.key_stores import key_store_at, keys_url
from pipeline.spec.privacy import hidden_columns, privacy_of
from schemas.times import now_us
from schemas.validation import SpecError


def hiding_of(options: argparse.Namespace, spec: Mapping[str, Any]) -> Hiding | None:
    """What a bundle may not hold, by `--keys` and `--hide`, or by the job's `privacy`; None without either.

    Raises:
        SpecError: `--hide` without a key store.
        NoKeyStore, StoreUnavailable: the key store cannot be used.
    """
    url, stated = keys_url(options, spec), privacy_of(spec)
    if url is None:
        if options.hide:
            raise SpecError("--hide", options.hide[0], "only together with --keys, or --job with privacy")
        return None
    keys = key_store_at(url, begin=options.key_store is None)
    epochs = keys.epochs().all
    now = now_us()
    epoch = next(each for each in reversed(epochs) if each.from_us <= now)
    events: dict[str, Any] = spec.get("events") or {}
    hidden = () if stated is None else hidden_columns(spec, stated.hide)
    named = {kind: frozenset({kind, str(events.get(kind, kind))}) for kind in ("event_id", "subject")}
    return Hiding(epoch, tuple(dict.fromkeys([*hidden, *options.hide])), named["event_id"], named["subject"])


def refuse_plain(manifest: Manifest) -> None:
    """Refuses a ready bundle with rows of persons where there is privacy.

    Raises:
        CannotPublish: it may have some.
    """
    if manifest.holds_rows and manifest.privacy is None:
        found = f"the bundle {manifest.version} has training records, golden records or a profile in plain"
        raise CannotPublish(f"{found}; expected: with privacy, one that publish made of the model's files with privacy")


def privacy_text(manifest: Manifest) -> str | None:
    """What a bundle leaves out, in words; None where it says nothing of it."""
    said = manifest.privacy
    if said is None:
        return None
    hidden = f"no values of {', '.join(said.hidden)}" if said.hidden else "no columns hidden"
    return f"training records hashed in epoch {said.epoch}; {hidden}"
