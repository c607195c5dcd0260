"""A spec with `privacy` is refused by whatever would write its records in plain."""

import pytest

import halflife.beam
from pipeline.verbs import main
from schemas.validation import SpecError
from tests.pipeline.jobs.flows import Flow, json_lines, trips

VERBS = [
    ("run",),
    ("run", "--runner=DataflowRunner", "--template_location=gs://b/t"),
    ("run", "--runner=FlinkRunner", "--flink_master=127.0.0.1:1"),
    ("run", "--only_new"),
    ("replay", "--version", "v1", "--out", "{out}"),
    ("replay", "--receipts", "--version", "v1", "--out", "{out}"),
    ("replay", "--receipts", "--as_recorded", "--out", "{out}"),
    ("features", "--out", "{out}"),
    ("doctor", "--runner", "DirectRunner"),
]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: " ".join(words[:3]))
def test_nothing_is_written_in_plain(flow: Flow, words: tuple[str, ...]) -> None:
    flow.feed(json_lines(trips(3)))
    privacy = {"keys": str(flow.root / "keys"), "hide": ["event_id"]}
    spec = {**flow.spec(subject="carrier"), "privacy": privacy}
    before = set(flow.root.rglob("*"))
    given = [word.format(out=flow.root / "again") for word in words[1:]]
    outcome = flow.run(spec, *given, verb=lambda rest: main([words[0], *rest]))
    assert outcome.code == 2, outcome.err
    [line] = outcome.err.splitlines()
    assert "privacy: in the spec, but this version would write records in plain" in line
    assert "expected: a spec without it; next: " in line
    assert set(flow.root.rglob("*")) == before | {flow.root / "job.yaml"}
    with pytest.raises(SpecError, match="in plain"):
        halflife.beam.job_of(spec)
