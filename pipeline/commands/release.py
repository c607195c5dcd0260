"""`halflife models release` and `rollback`: entries of the timeline."""

import argparse
import re
import secrets
from collections.abc import Callable

from models.errors import StoreError
from models.releases import Challenger, Release, parse_release, release_document
from models.timeline import release_undone_to, serving_order
from pipeline.commands.output import exit_code, print_pairs
from pipeline.commands.parsing import (
    Arguments,
    OneLineParser,
    add_actor_option,
    add_store_options,
    duration,
    instant,
    positive,
)
from pipeline.commands.place import Place, find_place
from pipeline.printer import note, print_json
from schemas import times

_SHARE = re.compile(r"(?P<version>[^=]+)=(?P<share>\d+(\.\d*)?|\.\d+)(?P<percent>%)?")


def release(arguments: Arguments) -> int:
    """`halflife models release`; returns the exit code."""
    parser = OneLineParser("halflife models release", "Decide which versions serve from a time on.")
    parser.add_argument("--champion", required=True, metavar="V", help="the version that answers")
    parser.add_argument(
        "--challenger", action="append", default=[], type=challenger, metavar="V=SHARE", dest="challengers",
        help="a version that answers for a share of the events, such as v2=0.1 or v2=10%%; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--shadow", action="append", default=[], metavar="V", dest="shadows",
        help="a version that is scored and never returned; repeatable",
    )  # fmt: skip
    parser.add_argument("--split_on", metavar="COLUMN", help="what events are split by (default: event_id)")
    parser.add_argument(
        "--salt", metavar="TEXT",
        help="what the split is salted with (default: that of the last release if a challenger goes on, else random)",
    )  # fmt: skip
    parser.add_argument("--evidence", default="", metavar="TEXT", help="a link or an id that supports the decision")
    _add_when_and_why(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _release(options), options.verbose)


def rollback(arguments: Arguments) -> int:
    """`halflife models rollback`; returns the exit code."""
    parser = OneLineParser("halflife models rollback", "Release an earlier release's versions again.")
    parser.add_argument(
        "--to", type=positive, metavar="SEQUENCE",
        help="the release to repeat (default: the one that the last release replaced)",
    )  # fmt: skip
    _add_when_and_why(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why (default: rollback from release N to release M)")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _rollback(options), options.verbose)


def challenger(text: str) -> Challenger:
    """`v2=0.1` or `v2=10%`."""
    found = _SHARE.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: VERSION=SHARE such as v2=0.1 or v2=10%")
    return Challenger(found["version"], float(found["share"]) / (100 if found["percent"] else 1))


def _add_when_and_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", type=instant, metavar="TIME", dest="effective_from",
        help="event time from which it serves, RFC 3339 or now (default: now + 2 polls, so that every worker knows it)",
    )  # fmt: skip
    parser.add_argument("--poll", type=duration, metavar="DURATION", help="the job's poll interval (default: 10s)")
    add_actor_option(parser)
    add_store_options(parser)


def _release(options: argparse.Namespace) -> None:
    place = find_place(options)
    history = place.store.releases()
    split_on = options.split_on or "event_id"
    _write(
        options,
        place,
        "release",
        lambda: place.store.append_release(
            champion=options.champion,
            challengers=options.challengers,
            shadows=options.shadows,
            effective_from_us=_start_us(options, place),
            split_on=split_on,
            salt=options.salt or _salt(history, options.challengers, split_on),
            by=options.by,
            reason=options.reason,
            evidence=options.evidence,
        ),
    )


def _rollback(options: argparse.Namespace) -> None:
    place = find_place(options)
    history = serving_order(place.store.releases())
    if not history:
        raise StoreError(f"{place.store.url}: {place.store.model!r} has no release to go back from")
    last = history[-1]
    target = release_undone_to(history, options.to)
    start_us = _start_us(options, place)
    if options.effective_from is None:
        # Never before what it undoes: a release that is yet to take effect would take over again.
        start_us = max(start_us, last.effective_from_us)
    elif start_us < last.effective_from_us:
        note(f"release {last.sequence} takes effect later and will serve again from then on")
    _write(
        options,
        place,
        "rollback",
        lambda: place.store.append_release(
            champion=target.champion,
            challengers=target.challengers,
            shadows=target.shadows,
            effective_from_us=start_us,
            split_on=target.split_on,
            salt=target.salt,
            by=options.by,
            reason=options.reason or f"rollback from release {last.sequence} to release {target.sequence}",
            evidence=f"rollback:{target.sequence}",
        ),
    )


def _start_us(options: argparse.Namespace, place: Place) -> int:
    if options.effective_from is not None:
        return int(options.effective_from)
    return times.now_us() + 2 * int(options.poll or place.poll_us)


def _salt(history: list[Release], challengers: list[Challenger], split_on: str) -> str:
    """The last release's salt where a challenger of it goes on: its share then only grows or shrinks."""
    if history and history[-1].split_on == split_on:
        before = {each.version for each in history[-1].challengers}
        if before & {each.version for each in challengers}:
            return history[-1].salt
    return secrets.token_hex(8)


def _write(options: argparse.Namespace, place: Place, action: str, append: Callable[[], Release]) -> None:
    written = append()
    versions = ",".join(written.versions)
    place.store.record_access(action, options.by, release=written.sequence, versions=versions, reason=written.reason)
    if written.effective_from_us < written.at_us:
        note("its time has begun: events scored before a worker knows it keep the release that served them")
    _show(options, written)


def _show(options: argparse.Namespace, written: Release) -> None:
    document = release_document(parse_release(release_document(written)))
    if options.json:
        print_json(document)
        return
    shares = ", ".join(f"{each.version} {each.share:.4g}" for each in written.challengers)
    print_pairs(
        [
            ("release", written.sequence),
            ("effective from", document["effective_from"]),
            ("champion", written.champion),
            ("challengers", shares),
            ("shadows", ", ".join(written.shadows)),
            ("split on", written.split_on if written.challengers else None),
            ("salt", written.salt if written.challengers else None),
            ("by", written.by),
            ("reason", written.reason),
        ]
    )
