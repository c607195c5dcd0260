"""Options of `release` that contradict each other are bad usage, and named; small messages say it right."""

import json
from pathlib import Path

import pytest

from tests.pipeline.commands.commands import Models, halflife
from tests.pipeline.commands.releasing.test_store_hygiene import OLD, put

ROLES = [
    (("--challenger", "v1=10%"), "--challenger: version 'v1' in two roles; expected: each"),
    (("--shadow", "v1"), "--shadow: version 'v1' in two roles; expected: each"),
    (("--challenger", "v2=0.1", "--shadow", "v2"), "--shadow: version 'v2' in two roles; expected: each"),
    (("--challenger", "v2=1", "--challenger", "v2=2%"), "--challenger: version 'v2' in two roles; expected: each"),
    (("--challenger", "v2=150%"), "--challenger: 'v2=150%' is not allowed; expected: a share of at most 1, or 100%"),
    (("--challenger", "v2=1.01"), "--challenger: 'v2=1.01' is not allowed; expected: a share of at most 1, or 100%"),
    (("--challenger", "v2=60%", "--challenger", "v3=0.5"), "--challenger: shares that sum to 1.1; allowed: a sum of"),
]


@pytest.mark.parametrize(("words", "said"), ROLES, ids=[" ".join(words) for words, _ in ROLES])
def test_contradicting_options_are_bad_usage(models: Models, words: tuple[str, ...], said: str) -> None:
    ran = models("release", "--champion", "v1", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert said in ran.err
    assert models.store.releases() == []


@pytest.mark.parametrize("time", ["10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "12024-01-01T00:00:00Z", "soon"])
@pytest.mark.parametrize("key", ["effective_from", "at"])
def test_time_in_a_release_says_within_which_years(models: Models, key: str, time: str) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    put(models, "00000002.json", **{key: time})
    [told] = models.json("timeline")["broken"]
    assert told["problem"].endswith("such as 2013-03-01T00:00:00Z, within the years 1 to 9999 in UTC")


def test_title_of_a_table_without_rows_is_one_line(models: Models) -> None:
    for words in (("access", "--from", "9999-12-31", "--to", "0001-01-01"), ("access", "--actor", "nobody")):
        assert models(*words).out.splitlines()[0] == f"late in {models.url}"
    assert models("timeline").out.splitlines()[0].startswith(f"late in {models.url}, at 2")


@pytest.mark.parametrize("key", ["model.store", "model.name", "sinks.scores"])
def test_empty_setting_is_an_empty_text(tmp_path: Path, key: str) -> None:
    (tmp_path / "job.yaml").write_text(json.dumps({
        "job": "j", "events": {"uri": "x.json", "format": "json", "event_id": "i", "event_time": "t"},
        "features": ["x"], "model": {"name": "m", "store": str(tmp_path)},
    }))  # fmt: skip
    ran = halflife("run", "--job", tmp_path / "job.yaml", "--set", f"{key}=")
    assert (ran.code, f"{key}: '' is not allowed; expected: " in ran.err) == (2, True)


@pytest.mark.parametrize(("section", "said"), [("features", "a list of at least 1 item\n")])
def test_one_of_a_thing_is_singular(tmp_path: Path, section: str, said: str) -> None:
    (tmp_path / "job.yaml").write_text(json.dumps({
        "job": "j", "events": {"uri": "x.json", "format": "json", "event_id": "i", "event_time": "t"},
        "features": [], "model": {"name": "m", "store": str(tmp_path)},
    }))  # fmt: skip
    ran = halflife("run", "--job", tmp_path / "job.yaml")
    assert (ran.code, f"{section}: [] is not allowed; expected: {said}" in ran.err) == (2, True)
