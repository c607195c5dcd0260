"""The demo of the loop: models wear, advice says so, and retrained versions become champions by their own evidence.

`make demo-loop` runs it on car loans and on flights; what an earlier run left is made anew. It ends with 1 where a step
did not do what it must: no champion, no story.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.flights.records import UnexpectedData
from examples.loop.arriving import STREAMS, Arrivals, Stream
from examples.loop.fitting import NothingToLearn
from examples.loop.plan import FLIGHTS, LOANS, Loop
from examples.loop.rounds import LoopFolders, Rounds
from examples.loop.story import NOT_KNOWN, StoryIncomplete, Told, story_of
from examples.packages import SourceUnavailable
from examples.steps import StepFailed, console_of, step
from models.errors import BundleRefused, StoreError
from schemas.validation import SpecError

_LEGEND = (
    "Log loss: less is better; fresh: as it was when the version was trained. Of a difference the interval is given in "
    "brackets, which holds with 95 % however often one looks; below 0 the new version is better."
)
LOOPS = {loop.name: loop for loop in (LOANS, FLIGHTS)}


class NoNewChampion(RuntimeError):
    """A loop ended, and no retrained version has become champion."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the sources are, and where the loops keep their files: those of each in a folder of its name."""

    sources: Path = Path("data")
    data: Path = Path("data/loop")
    out: Path = Path("out/loop")


def main(
    arguments: Sequence[str] = (),
    folders: Folders | None = None,
    loops: dict[str, Loop] | None = None,
    streams: dict[str, Callable[[Path], Stream]] | None = None,
) -> int:
    """Runs the loops of these names, or all, from the root of a checkout; 0 done, 1 failed, 2 bad usage."""
    known = loops or LOOPS
    parser = argparse.ArgumentParser(prog="python -m examples.loop.demo", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *known], metavar="NAME", help=f"of {', '.join(known)}")
    chosen = parser.parse_args(list(arguments)).names or list(known)
    console = console_of()
    try:
        for name in chosen:
            _run(console, known[name], folders or Folders(), streams or STREAMS)
    except (SourceUnavailable, UnexpectedData, NothingToLearn, NoNewChampion, StoryIncomplete, StepFailed, SpecError,
            BundleRefused, StoreError, OSError) as problem:  # fmt: skip
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {problem}", markup=False)
        return 1
    return 0


def _run(console: Console, loop: Loop, folders: Folders, streams: dict[str, Callable[[Path], Stream]]) -> None:
    started = time.monotonic()
    console.print(f"[bold]The loop on {loop.title}[/bold]", highlight=False)
    console.print(f"  {loop.rule}", markup=False)
    console.print(f"  {_LEGEND}", markup=False)
    own = LoopFolders(folders.data / loop.name, folders.out / loop.name)
    for folder in (own.data, own.out):  # a loop has one beginning; the records are of this run alone
        shutil.rmtree(folder, ignore_errors=True)
    with step(console, "events and labels, cut by the days on which they arrive"):
        stream = streams[loop.name](folders.sources)
    arrivals = Arrivals(own.data, stream, loop.recent)
    rounds = Rounds(loop, own, arrivals, lambda *told: _tell(console, *told))
    console.print(f"\n  {'day':<10}  {'scored':>7}  what the job, the advice and the rollout did")
    rounds.begin()
    for day in loop.looks:
        rounds.go_round(day)
    if not rounds.champions:
        raise NoNewChampion(_why_none(rounds))
    _tell_story(console, rounds)
    console.print(f"\n  {loop.name}: {time.monotonic() - started:.0f} s\n")


def _tell(console: Console, day: date, scored: int | None, what: str) -> None:
    count = "" if scored is None else f"{scored:,}"
    console.print(f"  {day}  {count:>7}  {what}", markup=False, soft_wrap=True)


def _why_none(rounds: Rounds) -> str:
    named = ", ".join(rounds.versions)
    trained = f"trained: versions {named}" if rounds.versions[1:] else "no advice was to retrain"
    return f"{rounds.loop.name}: no retrained version has become champion ({trained}); expected: one"


def _tell_story(console: Console, rounds: Rounds) -> None:
    known = False
    for version in rounds.champions:
        title = f"The whole story of version {version} of {rounds.loop.model}, as the audit tells it"
        console.print(f"\n[bold]{title}[/bold]")
        story = story_of(rounds, version)
        console.print(_table(story))
        known = known or all(NOT_KNOWN not in line.evidence for line in story)
    if not known:
        raise StoryIncomplete("no labels say what a new champion was worth; expected: labels of later days")
    console.print("\n  Ask yourself:", markup=False)
    first, day = next(iter(rounds.champions.items()))
    for words in (f"audit version {first}", f"audit at {day}", "models timeline"):
        console.print(f"  → .venv/bin/halflife {words} --job {_spec(rounds)}", markup=False, soft_wrap=True)


def _spec(rounds: Rounds) -> str:
    return str(Path("examples/loop") / rounds.loop.job.name)


def _table(story: list[Told]) -> Table:
    table = Table("when", "what", "evidence", "told by", box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for line in story:
        table.add_row(*line)
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
