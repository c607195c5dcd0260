"""One loop, by the verbs of `halflife` alone: score what is new, ask for advice, train, publish, roll out, look."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from examples.loop.arriving import Arrivals
from examples.loop.fitting import TREES, Fitted, fit
from examples.loop.plan import BY, FIRST, Loop
from examples.steps import StepFailed, command

_DAY = 10  # characters of a day in a time
SINKS = ("scores", "audit", "drift", "quality", "dead_letters")


@dataclass(frozen=True, slots=True)
class LoopFolders:
    """The folders of a loop: what arrives and what is trained on, the store, and what the job writes."""

    data: Path
    out: Path

    @property
    def store(self) -> Path:
        return self.data / "models"

    def settings(self) -> list[str]:
        """The arguments that make the spec that of these folders."""
        values = {"events.uri": f"{self.data}/recent/events-*.parquet", "model.store": str(self.store)}
        values["labels.uri"] = f"{self.data}/recent/labels-*.parquet"
        values |= {f"sinks.{name}": f"{self.out}/{name}" for name in SINKS}
        return [argument for path, value in values.items() for argument in ("--set", f"{path}={value}")]


@dataclass(slots=True)
class Rounds:
    """The loop as it goes. `tell` gets the day, how many events were scored since the day before (None: nothing runs
    yet), and what happened. `champions`: versions that a rollout made champion, with the day from which on they are."""

    loop: Loop
    folders: LoopFolders
    arrivals: Arrivals
    tell: Callable[[date, int | None, str], None]
    candidate: str | None = None
    versions: list[str] = field(default_factory=list)
    champions: dict[str, date] = field(default_factory=dict)

    def begin(self) -> None:
        """Trains the first version on what was known when the loop begins, and releases it.

        Raises:
            StepFailed, NothingToLearn: it cannot be.
        """
        born = self.loop.born
        self.arrivals.before(born)
        fitted = self._train(FIRST, None)
        self._publish(FIRST, born, fitted, [])
        self._models("release", "--champion", FIRST, "--from", f"{born}", "--reason", "the first version", "--by", BY)
        loss = f"log loss {fitted.quality['log_loss']:.3f} on the last fifth of its data"
        self.tell(born, None, f"version {FIRST} trained on {fitted.rows:,} events, {loss}; it is the champion")

    def go_round(self, day: date) -> None:
        """A look on this day: what has arrived is scored, and what follows from the records is done.

        Raises:
            StepFailed, NothingToLearn: a step ended with an error.
        """
        self.arrivals.until(day)
        scored = self._run()
        said = []
        if self.candidate is not None:
            said.append(self._look(day))
        if self.candidate is None:
            said += self._advise(day)
        for number, what in enumerate(said):
            self.tell(day, None if number else scored, what)

    def since(self, day: date, name: str) -> Path:
        """A folder of this name with all events that arrived from a day on."""
        folder = self.folders.data / "since" / name
        folder.mkdir(parents=True)
        for look in self.loop.looks:
            if look > day:
                os.link(self.folders.data / "arrived" / f"events-{look}.parquet", folder / f"{look}.parquet")
        return folder

    def _run(self) -> int:
        file = self.folders.out / "summary.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        self._verb("run", "--only_new", "--summary", str(file))
        return int(json.loads(file.read_text(encoding="utf-8"))["scored"])

    def _advise(self, day: date) -> list[str]:
        advice = self._json("advise")
        said = [told_advice(advice)]
        if advice["verdict"] in self.loop.trains_on and advice["loss"] is not None:
            version = str(int(self.versions[-1]) + 1)
            fitted = self._train(version, (advice["data"] or {}).get("from"))
            because = ["--param", f"because={advice['why']}", "--decision", advice["advice"]]
            self._publish(version, day, fitted, because)
            seen = f"{fitted.rows:,} events from {fitted.first} to {fitted.last}"
            said.append(f"version {version} trained on {seen}, published with the id of that advice")
            self.candidate = version
            said.append(self._look(day))
        return said

    def _look(self, day: date) -> str:
        version, policy = str(self.candidate), str(self.loop.policy)
        found = self._json("rollout", "--policy", policy, "--version", version, "--from", f"{day}")
        if found["written"] is not None and found["written"]["champion"] == version:
            self.champions[version] = day
        if found["over"] or found["verdict"] == "stop" or version in self.champions:
            self.candidate = None
        return told_rollout(found)

    def _train(self, version: str, since: str | None) -> Fitted:
        """`halflife features --labels` over all that has arrived, and the trees."""
        folder = self.folders.data / "training" / version
        shutil.rmtree(folder, ignore_errors=True)
        arrived = self.folders.data / "arrived"
        given = [f"events.uri={arrived}/events-*.parquet", f"labels.uri={arrived}/labels-*.parquet"]
        words = [word for each in given for word in ("--set", each)]
        self._verb("features", "--labels", "--out", str(folder / "rows"), after=words)
        return fit(folder / "rows", since, self.loop.texts, folder)

    def _publish(self, version: str, day: date, fitted: Fitted, because: list[str]) -> None:
        rows = sorted((fitted.model.parent / "rows").glob("*.parquet"))
        stated = {
            "--data": [str(file) for file in rows],
            "--quality": [f"{name}={value}" for name, value in fitted.quality.items()],
            "--hyperparameter": [f"{name}={value}" for name, value in TREES.items()],
            "--param": [f"rows={fitted.rows}", f"first={fitted.first}", f"last={fitted.last}"],
        }
        words = [word for option, values in stated.items() for value in values for word in (option, value)]
        self._models("publish", str(fitted.model), "--version", version, "--sample", str(fitted.sample),
                     "--output", "probability", "--threshold", "0.5", "--trained_at", f"{day}T00:00:00Z",
                     "--code", "examples/loop/fitting.py", "--records", str(fitted.records),
                     "--created_by", BY, "--by", BY, *words, *because)  # fmt: skip
        self.versions.append(version)

    def _models(self, *words: str) -> str:
        """By the store alone: when the first version is published nothing has arrived yet that a job could read."""
        return quietly("models", *words, "--store", str(self.folders.store), "--model", self.loop.model)

    def _verb(self, *words: str, after: list[str] | None = None) -> str:
        return quietly(*words, "--job", str(self.loop.job), *self.folders.settings(), *(after or []))

    def _json(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._verb(*words, "--by", BY, "--json"))
        return found


def quietly(*words: str) -> str:
    """Runs a verb; what it remarks is shown only where it fails: a note on events that are still to come is for those
    who do not know that they are."""
    remarks = io.StringIO()
    try:
        with redirect_stderr(remarks):
            return command(*words)
    except StepFailed:
        print(remarks.getvalue(), end="", file=sys.stderr)
        raise


def told_advice(advice: Mapping[str, Any]) -> str:
    """One line of what `halflife advise` said."""
    loss, verdict = advice["loss"], f"advice: {advice['verdict']}"
    if loss is None:
        return f"{verdict}, {advice['why']}"
    known = f"log loss {loss['now']:.3f} of {loss['n']:,} labelled events, fresh {loss['fresh']:.3f}"
    if advice["verdict"] == "retrain":
        since = (advice["change"]["since"] or "")[:_DAY] or "its first day as champion"
        return f"{verdict} ({advice['advice']}): {known}, since {since}"
    if advice["verdict"] == "look":
        return f"{verdict} ({advice['advice']}): drift of {', '.join(drifted_columns(advice)[:3])}; {known}"
    return f"{verdict} ({advice['reason']}): {known}"


def drifted_columns(advice: Mapping[str, Any]) -> list[str]:
    """The columns that drifted in the windows that an advice names, the heaviest first."""
    return list(dict.fromkeys(column["column"] for each in advice["drifted"] for column in each["columns"]))


def told_rollout(found: Mapping[str, Any]) -> str:
    """One line of what `halflife rollout` did."""
    version, evidence = found["version"], found["evidence"] or {}
    numbers = difference_text(evidence) if evidence.get("value") is not None else found["why"]
    if found["written"] is None:
        return f"rollout of version {version}: {found['verdict']}: {numbers}"
    did = f"rollout: version {version} {served_as(found)} (release {found['written']['sequence']})"
    return f"{did}: {numbers}" if found["reason"] != "begin" else did


def served_as(found: Mapping[str, Any]) -> str:
    """What a version does by the release that a look wrote."""
    release, version = found["written"], found["version"]
    if release["champion"] == version:
        return "becomes champion"
    shares = [each["share"] for each in release["challengers"] if each["version"] == version]
    if shares:
        return f"answers {shares[0]:.0%} of the events"
    return "scores beside the champion, as a shadow" if version in release["shadows"] else "is stopped"


def difference_text(evidence: Mapping[str, Any]) -> str:
    """The difference of the losses of two versions, with its interval."""
    between = f"{evidence['low']:+.4f} to {evidence['high']:+.4f}"
    return f"loss {evidence['value']:+.4f} against the champion ({between}), {evidence['n']:,} labelled events"
