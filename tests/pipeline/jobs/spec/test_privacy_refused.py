"""A spec with `privacy` is refused by those verbs that would write records in plain, or could not tell them."""

import pytest

from pipeline.verbs import main
from tests.pipeline.jobs.flows import Flow, json_lines, trips

LABELS = {"uri": "{in}", "format": "json", "event_id": "id", "event_time": "at", "column": "delay", "positive": "> 3"}
SET = [word for key, value in LABELS.items() for word in ("--set", f"labels.{key}={value}")]
VERBS = {
    ("run", "--only_new"): "privacy: in the spec, and --only_new tells what earlier runs did by ids and bytes in plain",
    ("features", "--out", "{out}"): "privacy: in the spec, and halflife features writes rows in plain",
    ("dead-letters", "replay"): "privacy: in the spec, and dead-letters replay tells letters by bytes in plain",
    ("replay", "--version", "v1", "--out", "{out}", *SET): "privacy: in the spec, and labels are joined to scores by",
    ("replay", "--receipts", "--as_recorded", "--out", "{out}"): "privacy: in the spec, and replay --receipts would",
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), VERBS.items(), ids=[" ".join(words[:2]) for words in VERBS])
def test_nothing_is_written_in_plain(flow: Flow, words: tuple[str, ...], said: str) -> None:
    flow.feed(json_lines(trips(3)))
    privacy = {"keys": str(flow.root / "keys"), "hide": ["event_id"]}
    spec = {**flow.spec(subject="carrier"), "privacy": privacy}
    before = set(flow.root.rglob("*"))
    paths = {"out": flow.root / "again", "in": flow.root / "in.0"}
    first, *given = [word.format(**paths) for word in words]
    outcome = flow.run(spec, *given, verb=lambda rest: main(_ordered(first, given, rest)))
    assert outcome.code == 2, outcome.err
    [line] = outcome.err.splitlines()
    assert said in line
    assert "expected: a spec without it; next: " in line
    written = set(flow.root.rglob("*")) - before - {flow.root / "job.yaml"}
    assert not [path for path in written if path.is_file()]


def _ordered(first: str, given: list[str], rest: object) -> list[str]:
    """The verb, what it is a verb of, and the options."""
    words = [str(word) for word in rest]  # type: ignore[attr-defined]  # a sequence
    return [first, given[0], *words[:2]] if first == "dead-letters" else [first, *words]
