"""The whole story of one new version, as `halflife audit version` and `halflife audit at` tell it; only what its
answers were worth before and after is read from the records of quality."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from examples.loop.rounds import Rounds, difference_text, drifted_columns, quietly
from gates.records import QualityRecords, QualityRow
from schemas.times import parse_time_us

_DAY = 10  # characters of a day in a time
_COLUMNS = 3
_CHAMPION = "champion"
NOT_KNOWN = "not known yet: no labels have come"


class Told(NamedTuple):
    """A line of the story: of which day, what happened, the evidence, and which command says so."""

    when: str
    what: str
    evidence: str
    by: str


class Worth(NamedTuple):
    """The mean log loss of a version's answers as champion in whole windows, and of how many labelled events."""

    loss: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"log loss {self.loss:.3f} ({self.low:.3f} to {self.high:.3f}) of {self.n:,} labelled events"


class StoryIncomplete(RuntimeError):
    """Something that the story must have is not in the audit."""


def story_of(rounds: Rounds, version: str) -> list[Told]:
    """What the audit says of a version, from the decay of the one before it to what it was worth itself.

    Raises:
        StoryIncomplete: the audit does not say it.
        StepFailed: a command ended with an error.
    """
    told = _asked(rounds, "version", version)
    advice = (told["advice"] or {}).get("evidence")
    if advice is None:
        raise StoryIncomplete(f"audit version {version} names no advice: {told['lacks'] or 'none is in its manifest'}")
    lines = [*_decay(rounds, advice, told), _training(told), *_steps(rounds, told)]
    return [*sorted(lines, key=lambda line: line.when), *_worth(rounds, told, advice)]


def _asked(rounds: Rounds, *words: str) -> dict[str, Any]:
    settings = [*rounds.folders.settings(), "--by", "examples.loop", "--json"]
    found: dict[str, Any] = json.loads(quietly("audit", *words, "--job", str(rounds.loop.job), *settings))
    return found


def _decay(rounds: Rounds, advice: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[Told]:
    """What was measured of the version before, since when, and what it costs."""
    by, before = f"audit version {told['version']}", advice["version"]
    first = next((each["evidence"] for each in _asked(rounds, "version", before)["advised"]
                  if each["evidence"]["drifted"]), None)  # fmt: skip
    if first is not None:
        columns, day = ", ".join(drifted_columns(first)[:_COLUMNS]), first["drifted"][0]["start"][:_DAY]
        yield Told(day, "drifted", f"{columns}; advice {first['advice']}: {first['verdict']}",
                   f"audit version {before}")  # fmt: skip
    loss, since = advice["loss"], advice["change"]["since"] or advice["span"]["from"]
    if loss is not None:
        worse = f"{loss['worse_by']:+.3f} ({loss['low']:+.3f} to {loss['high']:+.3f})"
        worn = f"version {before} has worn since" if loss["low"] > 0 else f"version {before} is not shown to have worn"
        yield Told(since[:_DAY], worn, f"log loss {loss['now']:.3f}, fresh {loss['fresh']:.3f} (by its "
                   f"{loss['fresh_by']}): {worse} of {loss['n']:,} labelled events", by)  # fmt: skip
    yield Told(told["manifest"]["training"]["trained_at"][:_DAY], f"advice {advice['advice']}: {advice['verdict']}",
               _price(advice), by)  # fmt: skip


def _price(advice: Mapping[str, Any]) -> str:
    waiting, unit = advice["waiting"], advice["price"]["unit"]
    costs = f"a retraining costs {advice['price']['retraining']:,.0f} {unit}"
    if waiting is None:
        return f"of drift alone nobody knows what waiting loses; {costs}"
    loses = waiting["loses"]
    between = f"{loses['value']:,.0f} {unit} ({loses['low']:,.0f} to {loses['high']:,.0f})"
    return f"waiting {waiting['within']} loses {between}; {costs}"


def _training(told: Mapping[str, Any]) -> Told:
    training = told["manifest"]["training"]
    seen, data = training["parameters"], training["data"][0]
    said = f"{seen['rows']:,} events from {seen['first']} to {seen['last']}; file sha256 {data['sha256'][:12]}…"
    return Told(training["trained_at"][:_DAY], f"version {told['version']} trained, because of {training['decision']}",
                f"{said}; log loss {told['manifest']['quality']['log_loss']:.3f} on the last fifth",
                f"audit version {told['version']}")  # fmt: skip


def _steps(rounds: Rounds, told: Mapping[str, Any]) -> Iterator[Told]:
    """Each release of the rollout: what serves from then on by `audit at`, and why by its gate."""
    for gate in told["gates"]:
        evidence = gate["evidence"]
        release = next((each for each in told["releases"] if each["release"] == gate["release"]), None)
        if release is None:  # a hold writes none
            continue
        at = _asked(rounds, "at", release["from"])
        serving = ", ".join(f"version {each['version']} {_role(each)}" for each in at["versions"])
        why = difference_text(evidence) if evidence.get("value") is not None else "a retrained version is watched first"
        who = f"{_who(gate)}, release {at['release']['sequence']}"
        yield Told(release["from"][:_DAY], f"{serving}; by {who}", why, f"audit at {release['from'][:_DAY]}")


def _role(version: Mapping[str, Any]) -> str:
    share = version["share"]
    return f"answers {share:.0%}" if share else str(version["role"])


def _who(gate: Mapping[str, Any]) -> str:
    evidence = gate["evidence"]
    return f"rollout {evidence['policy']} step {evidence['step']}/{evidence['steps']}"


def _worth(rounds: Rounds, told: Mapping[str, Any], advice: Mapping[str, Any]) -> Iterator[Told]:
    """What the answers of the two champions were worth, by labels that came later than them; and, on the same events
    as the new one, what the old one would have been worth."""
    version, before = told["version"], advice["version"]
    since = _us(rounds.champions[version])
    rows = QualityRecords(str(rounds.folders.out / "quality"), rounds.loop.model).latest()
    quality = "records of quality"
    day = rounds.champions[version]
    for name, of, span in ((f"until {day}", before, (parse_time_us(advice["span"]["from"]), since)),
                           (f"from {day}", version, (since, math.inf))):  # fmt: skip
        worth = worth_of(rows, of, *span)
        yield Told(name, f"version {of} as champion", str(worth or NOT_KNOWN), quality)
    yield _again(rounds, before, version)


def _again(rounds: Rounds, before: str, version: str) -> Told:
    """Both versions on the same events: all that arrived since the new one is champion, with the labels so far."""
    words = ("replay", "--version", before, "--version", version)
    events = rounds.since(rounds.champions[version], version)
    if not any(events.iterdir()):
        return Told(f"from {rounds.champions[version]}", "the same events by both", NOT_KNOWN, " ".join(words))
    out = str(rounds.folders.out / "replayed" / version)
    settings = [*rounds.folders.settings(), "--set", f"events.uri={events}/*.parquet", "--out", out, "--json"]
    found = json.loads(quietly(*words, "--job", str(rounds.loop.job), *settings,
                               "--set", f"labels.uri={rounds.folders.data}/arrived/labels-*.parquet"))  # fmt: skip
    old, new = (found["versions"][each]["quality"]["overall"] for each in (before, version))
    said = f"log loss {new['log_loss']:.4f}; version {before} would have {old['log_loss']:.4f}"
    return Told(
        f"from {rounds.champions[version]}",
        f"the same {new['n']:,} events by both: version {version}",
        said,
        " ".join(words),
    )


def _us(day: date) -> int:
    return parse_time_us(f"{day}T00:00:00Z")


def worth_of(rows: Sequence[QualityRow], version: str, since_us: int, until_us: float) -> Worth | None:
    """What a version lost in each event as champion, in windows from one time until another, with an interval of
    95 %; None without labels. Windows most of whose labels are still to come are left out."""
    own = [
        row for row in rows
        if (row.version, row.role, row.metric, row.against) == (version, _CHAMPION, "error", None)
        and row.window_start >= since_us and row.window_end <= until_us and (row.label_coverage or 0) >= 0.8
        and row.value is not None and row.variance is not None
    ]  # fmt: skip
    n = sum(row.n for row in own)
    if not n:
        return None
    mean = math.fsum(row.n * (row.value or 0.0) for row in own) / n
    variance = math.fsum((row.n / n) ** 2 * (row.variance or 0.0) / (row.n_effective or row.n) for row in own)
    width = 1.96 * math.sqrt(variance)
    return Worth(mean, mean - width, mean + width, n)
