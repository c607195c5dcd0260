"""What is decided for a first job: each answer with its reason, asked of a person where the data do not show it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

NONE = "none"


class OpenQuestion(NamedTuple):
    """What is to be decided: its name, what the data suggest and why, and what else is allowed (empty: anything)."""

    name: str
    suggested: str
    why: str
    allowed: Sequence[str] = ()
    sure: bool = False


class Answer(NamedTuple):
    """What was decided, by whom (`stated`, `asked`, `data`), and why."""

    name: str
    value: str
    by: str
    why: str


Ask = Callable[[OpenQuestion], str]


@dataclass(slots=True)
class JobDecisions:
    """Answers in the order in which they were decided. `ask` is called where the data leave it open; None: they
    decide alone. `stated`: what the command line says."""

    stated: dict[str, str] = field(default_factory=dict)
    ask: Ask | None = None
    made: list[Answer] = field(default_factory=list)

    def decide(self, question: OpenQuestion) -> str:
        """The answer: what was stated, or else what the data show, or else what a person says."""
        if question.name in self.stated:
            return self._made(question.name, self.stated[question.name], "stated", "as stated")
        if question.sure or self.ask is None:
            by = "data" if question.sure else "decided"
            return self._made(question.name, question.suggested, by, question.why)
        return self._made(question.name, self.ask(question), "asked", "as answered")

    def note(self, name: str, value: str, why: str) -> None:
        """Something that follows from the data and was no question."""
        self._made(name, value, "data", why)

    def _made(self, name: str, value: str, by: str, why: str) -> str:
        self.made.append(Answer(name, value, by, why))
        return value
