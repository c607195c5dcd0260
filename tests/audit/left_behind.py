"""The audit that a killed and restarted job left in files, read by hand and asked by the commands."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import fastavro

from models.store.store import ModelStore
from pipeline.spec.documents import EMBEDDED
from tests.pipeline.commands.commands import Ran, halflife

FINDINGS = ("altered", "added", "removed", "reordered", "mismatches", "contradictions", "broken_files")
ANSWER = ("score_id", "event_id", "version", "release", "score", "decision", "features", "definitions")


class LeftBehind(NamedTuple):
    """An audit, the folder with its objects, the store of its models, and the file of its private key."""

    url: str
    audit: Path
    store: ModelStore
    key: Path

    def ask(self, *words: object) -> Ran:
        """One question to it."""
        return halflife("audit", *words, "--audit", self.url, "--store", self.store.url)

    def answer(self, *words: object) -> Any:
        """The JSON of a question that must be answered."""
        ran = self.ask(*words, "--json")
        assert ran.code == 0, ran
        return ran.json

    def seal(self) -> Ran:
        """Seals what is not sealed yet."""
        return halflife("audit", "seal", "--job", EMBEDDED, *self._settings())

    def verify(self) -> tuple[int, dict[str, Any], dict[str, Any]]:
        """The exit code, the findings, and the whole answer."""
        ran = halflife("audit", "verify", "--job", EMBEDDED, *self._settings(), "--json", "--key", f"{self.key}.pub")
        return ran.code, {name: ran.json[name] for name in FINDINGS if ran.json[name]}, ran.json

    def replay(self, out: Path, *settings: str) -> Ran:
        """Scores the receipts again, each by the version and release that it names."""
        words = ("--receipts", "--as_recorded", "--json", "--out", out)
        return halflife("replay", *words, "--job", EMBEDDED, *self._settings(*settings))

    def _settings(self, *more: str) -> list[str]:
        values = (f"sinks.audit={self.url}", f"model.store={self.store.url}", f"audit.key={self.key}", *more)
        return [word for value in values for word in ("--set", value)]

    def files(self, kind: str) -> list[Path]:
        """The files that jobs wrote and nobody has sealed."""
        return sorted(path for path in (self.audit / kind).glob("*.avro") if not path.name.startswith("."))

    def read(self, kind: str = "receipts") -> list[dict[str, Any]]:
        """All records as fastavro reads them: of the files, and of the containers that checkpoints name."""
        said = [path.read_text("utf-8") for path in sorted((self.audit / "checkpoints").glob("*"))]
        sealed = [path for path in sorted(self.audit.glob(f"sealed/*/{kind}.avro")) if self._is_named(path, said)]
        return [row for path in (*sealed, *self.files(kind)) for row in rows(path)]

    def _is_named(self, path: Path, checkpoints: list[str]) -> bool:
        return any(path.parent.name in text for text in checkpoints)


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as stream:
        return [row for row in fastavro.reader(stream) if isinstance(row, dict)]


def once(receipts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One receipt of each score."""
    return {one["score_id"]: one for one in receipts}


def repeated(receipts: list[dict[str, Any]]) -> list[str]:
    """The scores that were written more than once."""
    return [score for score, times in Counter(one["score_id"] for one in receipts).items() if times > 1]


def answers(receipts: list[dict[str, Any]]) -> Counter[str]:
    """What each receipt answered, and how often it is there; the role of a replay is its own."""
    return Counter(json.dumps([one[name] for name in ANSWER], default=str, sort_keys=True) for one in receipts)
