"""HALFLIFE_JOB and HALFLIFE_STORE stand for options that are not given; help and errors name them."""

import pytest

from tests.pipeline.commands.commands import halflife
from tests.pipeline.commands.habits.conftest import Small


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HALFLIFE_JOB", "HALFLIFE_STORE"):
        monkeypatch.delenv(name, raising=False)


def test_store_is_that_of_the_environment(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFLIFE_STORE", small.models.url)
    assert halflife("models", "list", "--model", "trips", "--json").code == 0
    ran = halflife("models", "list", "--model", "trips", "--store", "/nowhere")
    assert (ran.code, "--store: '/nowhere'" in ran.err) == (2, True)


def test_job_is_that_of_the_environment(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFLIFE_JOB", str(small.job))
    assert halflife("models", "show", "v1", "--json").json["manifest"]["version"] == "v1"
    monkeypatch.setenv("HALFLIFE_STORE", "/nowhere")  # the more particular of the two
    assert "HALFLIFE_STORE: '/nowhere'" in halflife("models", "list").err
    assert halflife("models", "list", "--job", small.job).code == 0  # what is given counts before what is set


def test_a_model_that_is_given_asks_no_job(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFLIFE_JOB", "/no/job.yaml")
    assert small.models("list").code == 0


@pytest.mark.parametrize("verb", [("run",), ("doctor", "--runner", "direct"), ("features", "--out", "x")], ids=str)
def test_errors_name_the_variable(verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFLIFE_JOB", "/no/job.yaml")
    ran = halflife(*verb)
    assert (ran.code, ran.err.startswith("halflife: HALFLIFE_JOB: '/no/job.yaml': No such file")) == (2, True)
    given = halflife(*verb, "--job", "/no/other.yaml")
    assert given.err.startswith("halflife: --job: '/no/other.yaml': No such file")


def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFLIFE_STORE", "")
    ran = halflife("models", "list", "--model", "trips")
    assert ran.code == 2
    assert ran.err.startswith(
        "halflife: --store: missing; expected: a value, or --job FILE to take it from, or HALFLIFE_"
    )


@pytest.mark.parametrize("words", [("run",), ("models", "list")], ids=" ".join)
def test_help_names_the_variables(words: tuple[str, ...]) -> None:
    assert "HALFLIFE_JOB" in halflife(*words, "--help").out


def test_version_is_said() -> None:
    ran = halflife("--version")
    assert ran.code == 0
    assert ran.out.startswith("halflife ")
    assert "apache-beam 2." in ran.out
