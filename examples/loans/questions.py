"""What is asked about one rejected application after the lawsuit, answered by the verbs of `halflife audit`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from audit.files.audit import Audit
from examples.loans.plan import TRAININGS
from examples.steps import command
from models.store.store import ModelStore

JOB = "examples/loans/job.yaml"
KEY = "audit.key"
_FIELDS = ("score_id", "event_id", "event_time", "subject", "version", "role", "digest", "score")
_ANSWERS = ("champion", "challenger")
# The page of a score answers several questions: each by the sections whose headings begin so.
_WHY = ("The decision", "Why", "What the model read", "What one other value", "Checked again")
_TRAINED, _RELEASED, _ACCESS = ("The model",), ("Who released it",), ("Who had access",)


class Answer(NamedTuple):
    """A question, the command that answers it, and the lines of its answer."""

    question: str
    command: Sequence[str]
    lines: Sequence[str]


class Asked(NamedTuple):
    """What is asked about: the options that name the job, the folder of its model, and where files of answers go."""

    job: Sequence[str]
    model: Path
    out: Path

    def verb(self, question: str, *words: str) -> Answer:
        """The answer of a verb that takes a job."""
        return Answer(question, (*words, "--job", JOB), command(*words, *self.job).splitlines())


def find_rejection(store: ModelStore, audit: Path) -> Mapping[str, Any]:
    """The receipt of the application that the last version, while it answered, rejected most narrowly."""
    receipts = pa.Table.from_batches(Audit(str(audit)).columns(_FIELDS))
    manifest = store.read_manifest(TRAININGS[-1].version)
    answered = pc.is_in(receipts["role"], value_set=pa.array(_ANSWERS))
    decided = receipts.filter(pc.and_(answered, pc.equal(receipts["digest"], manifest.digest)))
    below = decided.filter(pc.less(decided["score"], manifest.output.threshold))
    found: list[Mapping[str, Any]] = below.sort_by([("score", "descending"), ("event_id", "ascending")])[:1].to_pylist()
    return found[0]


def answers(rejection: Mapping[str, Any], asked: Asked) -> Iterator[Answer]:
    """The questions in their order, each answered by one command.

    Raises:
        StepFailed: a command ended with an error.
    """
    at = rejection["event_time"]
    page = asked.verb("", "audit", "score", rejection["score_id"], "--html", str(asked.out / "decision.html"))
    sections = _sections(page.lines)
    yield Answer("Why did the model reject that loan application?", page.command, _chosen(sections, _WHY))
    yield Answer("Which version was it, and how was it trained?", page.command, _chosen(sections, _TRAINED))
    yield Answer("When was it deployed, by whom and why?", page.command, _chosen(sections, _RELEASED))
    yield asked.verb("What else was in force then, and what was refused?", "audit", "at", f"{at:%Y-%m-%dT%H:%M:%SZ}")
    yield asked.verb("Which records trained it: is this one among them?", "audit", "record", rejection["event_id"])
    yield Answer("Who had access?", page.command, _chosen(sections, _ACCESS))
    yield asked.verb("What is held on the customer, who asks for it or for deletion?", "audit", "subject",
                     rejection["subject"])  # fmt: skip
    that_day = ("--from", f"{at:%Y-%m-%d}", "--to", f"{at + timedelta(days=1):%Y-%m-%d}")
    yield asked.verb("Do the decisions of that day come out again?", "replay", "--receipts", "--as_recorded", *that_day,
                     "--out", str(asked.out / "again"))  # fmt: skip
    yield _proven(rejection, asked)


def _proven(rejection: Mapping[str, Any], asked: Asked) -> Answer:
    """Seals the audit, and checks the decision alone: with the bundle and the public key, without audit and store."""
    key, decision = asked.out / KEY, asked.out / "decision.json"
    if not key.exists():
        command("audit", "key", "--out", str(key))
    command("audit", "seal", *asked.job)
    decision.unlink(missing_ok=True)
    command("audit", "export", rejection["score_id"], "--out", str(decision), *asked.job)
    bundle = asked.model / "versions" / rejection["version"]
    words = ("audit", "check", str(decision), "--bundle", str(bundle), "--key", f"{key}.pub")
    question = "Can that be proven to someone who trusts neither the operator nor Halflife?"
    return Answer(question, words, command(*words).splitlines())


def _sections(lines: Sequence[str]) -> list[list[str]]:
    """The parts of a page, each with its heading first."""
    return [part.splitlines() for part in "\n".join(lines).strip().split("\n\n")]


def _chosen(sections: Sequence[Sequence[str]], headings: Sequence[str]) -> list[str]:
    """Those whose headings begin so, with a blank line between them."""
    own = [section for section in sections if section[0].startswith(tuple(headings))]
    return [line for index, section in enumerate(own) for line in (*([""] if index else []), *section)]
