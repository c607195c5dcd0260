"""A spec with `privacy` is refused by those verbs that would write records in plain, or could not tell them."""

import pytest

from pipeline.verbs import main
from tests.pipeline.jobs.flows import Flow, json_lines, trips

VERBS = {
    ("features", "--out", "{out}"): "privacy: in the spec, and halflife features writes rows in plain",
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), VERBS.items(), ids=[" ".join(words[:2]) for words in VERBS])
def test_nothing_is_written_in_plain(flow: Flow, words: tuple[str, ...], said: str) -> None:
    flow.feed(json_lines(trips(3)))
    privacy = {"keys": str(flow.root / "keys"), "hide": ["event_id"]}
    spec = {**flow.spec(subject="carrier"), "privacy": privacy}
    before = set(flow.root.rglob("*"))
    paths = {"out": flow.root / "again"}
    first, *given = [word.format(**paths) for word in words]
    outcome = flow.run(spec, *given, verb=lambda rest: main([first, *rest]))
    assert outcome.code == 2, outcome.err
    [line] = outcome.err.splitlines()
    assert said in line
    assert "expected: a spec without it; next: " in line
    written = set(flow.root.rglob("*")) - before - {flow.root / "job.yaml"}
    assert not [path for path in written if path.is_file()]
