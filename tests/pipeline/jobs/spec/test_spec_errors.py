"""A broken spec is answered with all that is wrong with it, a line each; paths name the home folder and variables."""

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.spec.reading import read_spec
from pipeline.verbs import main
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro, trips

COUNT = {"name": "n2", "key": "carrier", "aggregate": "count", "size": "1h", "every": "5m"}


@pytest.fixture
def fed(flow: Flow) -> Flow:
    """A job whose input is whole."""
    flow.feed(json_lines(trips(3)))
    return flow


def lines_of(flow: Flow, spec: Any, *arguments: str) -> list[str]:
    """What a run says of a spec that it refuses."""
    outcome = flow.run(spec, *arguments)
    assert (outcome.code, outcome.out) == (2, ""), outcome
    return [line.removeprefix("halflife: ") for line in outcome.err.splitlines()]


def spec_paths(lines: list[str]) -> list[str]:
    return sorted(line.partition(": ")[0] for line in lines)


def test_errors_of_every_kind_are_reported_at_once(fed: Flow) -> None:
    spec = fed.spec(time_unit="min", subject="whom")  # a value that is not allowed, and a column that is not there
    spec["model"].update(poll="often", nme="x")
    spec["features"] += ["delay", "dely", {**COUNT, "size": "1us"}, {**COUNT, "name": "n3", "aggregate": "mean"}]
    spec["drift"] = {"ks": 2, "segments": ["carier"]}
    spec["sinks"].update(scores="amqp://h/t", drift="${HALFLIFE_NO_SUCH}/drift")
    assert spec_paths(lines_of(fed, spec)) == [
        "drift.ks", "drift.segments[0]", "events.subject", "events.time_unit", "features[3]", "features[4]",
        "features[5].size", "features[6].column", "model.nme", "model.poll", "sinks.drift", "sinks.scores",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"evnts": {}, "modle": {}, "jb": 1}, ["evnts", "jb", "modle"]),
        ({"job": "9", "features": [5, "", {**COUNT, "q": 7}]}, ["features[0]", "features[1]", "features[2].q", "job"]),
        ({"labels": {"uri": "x"}}, [f"labels.{key}" for key in ("column", "event_id", "event_time")]),
        ({"drift": {"window": "0s", "allowed_lateness": "-1s"}}, ["drift.allowed_lateness", "drift.window"]),
    ],
    ids=["unknown keys", "features", "missing keys", "durations"],
)
def test_errors_of_one_kind_are_reported_at_once(fed: Flow, changes: Any, expected: list[str]) -> None:
    assert spec_paths(lines_of(fed, {**fed.spec(), **changes})) == expected


def test_twenty_are_shown_and_the_rest_is_counted(fed: Flow) -> None:
    said = lines_of(fed, {**fed.spec(), "features": ["delay", *range(30)]})
    assert [section for section in spec_paths(said[:20]) if not section.startswith("features[")] == []
    assert said[20:] == ["… and 10 more errors"]


def test_wrong_settings_are_reported_at_once(fed: Flow) -> None:
    said = lines_of(fed, fed.spec(), "--set", "model.poll", "--set", "features[x]=1", "--set", "drift.ks=7")
    assert spec_paths(said) == ["--set", "--set", "drift.ks"]


def test_columns_that_are_not_in_the_input_are_reported_at_once(fed: Flow) -> None:
    spec = fed.spec(event_id="idd", subject="whom")
    spec["features"].append("dely")
    assert spec_paths(lines_of(fed, spec)) == ["events.event_id", "events.subject", "features[3]"]


def test_verbs_of_models_say_all_that_is_wrong_with_the_spec(fed: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    spec = fed.spec()
    spec["model"].update(poll="0s", store="${HALFLIFE_NO_SUCH}/store")
    spec["drift"] = {"ks": 2}
    assert main(["models", "list", "--job", str(fed.write_spec(spec))]) == 2
    assert spec_paths(capsys.readouterr().err.replace("halflife: ", "").splitlines()) == [
        "drift.ks", "model.poll", "model.store",
    ]  # fmt: skip


def test_misspelt_key_is_not_also_missing(fed: Flow) -> None:
    spec = fed.spec()
    spec["model"]["stor"] = spec["model"].pop("store")
    (said,) = lines_of(fed, spec)
    assert said.startswith("model.stor: unknown key")


def test_home_and_variables_in_paths_are_expanded(fed: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in (("HOME", "home"), ("OUT", "out put/é"), ("DAY", "in")):
        monkeypatch.setenv(name, str(fed.root / folder) if name != "DAY" else folder)
    spec = fed.spec(uri=f"{fed.root}/${{DAY}}*")
    spec["sinks"] = {"scores": "${OUT}/scores", "audit": "~/audit", "dead_letters": "file://${OUT}/${DAY}/dl"}
    outcome = fed.run(spec, "--set", "sinks.drift=~/drift")
    assert (outcome.code, outcome.summary["scored"]) == (0, 3), outcome
    assert len(read_avro(fed.root / "out put/é/scores")) == 3
    assert len(read_avro(fed.root / "home/audit/receipts")) == 3
    assert outcome.summary["job"]["sinks"]["dead_letters"] == f"file://{fed.root}/out put/é/in/dl"


def test_verbs_find_the_store_below_the_home_folder(
    fed: Flow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(fed.root))
    spec = fed.spec()
    spec["model"]["store"] = "~/store"
    assert main(["models", "list", "--json", "--job", str(fed.write_spec(spec))]) == 0
    assert '"v1"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("${HALFLIFE_NO_SUCH}/x", "HALFLIFE_NO_SUCH is not set"),
        ("a/${HALFLIFE_EMPTY}/x", "HALFLIFE_EMPTY is empty"),
        ("file:///tmp/${HALFLIFE_NO_SUCH}", "HALFLIFE_NO_SUCH is not set"),
        ("~no-such-user-here/x", "no user no-such-user-here"),
        ("a/${9}/x", "${NAME}"),
        ("a/${HOME", "${NAME}"),
    ],
)
def test_name_that_is_not_set_is_an_error(
    fed: Flow, monkeypatch: pytest.MonkeyPatch, uri: str, says: str
) -> None:
    monkeypatch.setenv("HALFLIFE_EMPTY", "")
    spec = fed.spec()
    spec["sinks"]["scores"] = uri
    (said,) = lines_of(fed, spec)
    assert said.startswith("sinks.scores: ")
    assert says in said
    assert not Path("a").exists()


def test_one_dollar_or_a_tilde_inside_is_a_letter_of_a_name(fed: Flow) -> None:
    spec = fed.spec()
    spec["sinks"] = {"scores": f"{fed.root}/a~b$HOME$/scores"}
    assert fed.run(spec).code == 0
    assert len(read_avro(fed.root / "a~b$HOME$" / "scores")) == 3


@pytest.mark.parametrize("section", ["events", "sinks"])
def test_variable_in_a_topics_uri_never_enters_the_spec(
    fed: Flow, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    monkeypatch.setenv("HALFLIFE_T_PASSWORD", "open-sesame")
    uri = "kafka://h:1/${HALFLIFE_T_PASSWORD}?sasl.password=${HALFLIFE_T_PASSWORD}&client.id=${HALFLIFE_NO_SUCH}"
    key = {"events": "uri", "sinks": "scores"}[section]
    document, problems = read_spec(fed.write_spec(fed.spec()), [f"{section}.{key}={uri}"])
    problems.check()
    assert document[section][key] == uri


@pytest.mark.parametrize(
    "text",
    ["stdout:", "out: put", "out #1/scores", "- a", "*x", "@day/scores", "a: {b", "2013-01-01: x"],
)
def test_value_that_is_set_is_its_text(fed: Flow, text: str) -> None:
    document, _ = read_spec(fed.write_spec(fed.spec()), [f"sinks.scores={text}"])
    assert document["sinks"]["scores"] == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.5", 0.5), ("true", True), ("[a, 'b']", ["a", "b"]), ("{a: 1h}", {"a": "1h"}), ("'a'", "a"), ("null", None)],
)
def test_value_that_is_set_may_be_yaml(fed: Flow, text: str, value: Any) -> None:
    document, _ = read_spec(fed.write_spec(fed.spec()), [f"x={text}"])
    assert document["x"] == value


def test_scores_set_to_standard_output_are_there(fed: Flow) -> None:
    outcome = fed.run(fed.spec(), "--set", "sinks.scores=stdout:")
    assert (outcome.code, len(outcome.out.splitlines())) == (0, 3), outcome


def exploding(opening: str, item: str) -> str:
    """Nine levels of nine aliases: 387 million values."""
    levels = [f"x0: &x0 {item}"]
    levels += [f"x{n}: &x{n} {opening.format(', '.join([f'*x{n - 1}'] * 9))}" for n in range(1, 10)]
    return "\n".join(levels) + "\n"


EXPLODING = {
    "lists": exploding("[{}]", "[lol]"),
    "merged mappings": exploding("{{<<: [{}], k: 1}}", "{k: 1}"),
    "mappings": exploding("[{}]", "{a: 1}").replace("[", "{a: [").replace("]", "]}"),
    "long texts": exploding("[{}]", "a" * 100_000).replace("x9:", "features:"),
}


@pytest.mark.parametrize("text", EXPLODING.values(), ids=EXPLODING)
@pytest.mark.parametrize("given", ["file", "setting"])
def test_aliases_that_expand_too_far_are_refused_within_a_second(fed: Flow, text: str, given: str) -> None:
    one_line = "{" + ", ".join(text.splitlines()) + "}"
    run = (fed.spec(), "--set", f"explain={one_line}") if given == "setting" else (text,)
    begun = time.monotonic()
    outcome = fed.run(*run)
    assert time.monotonic() - begun < 1
    assert outcome.code == 2
    assert "aliases (*name) that stand for too much" in outcome.err


def test_aliases_that_repeat_little_are_read(fed: Flow) -> None:
    spec = fed.write_spec(fed.spec()).read_text()
    spec += "windows: {allowed_lateness: &hour 1h}\ndrift: {allowed_lateness: *hour, window: *hour}\n"
    assert fed.run(spec).code == 0


@pytest.mark.parametrize(
    ("section", "key"),
    [("model", "poll"), ("drift", "window"), ("drift", "allowed_lateness"), ("windows", "allowed_lateness"),
     ("events", "max_out_of_orderness"), ("model", "admission_timeout"), ("features[2]", "size"),
     ("features[2]", "every")],
)  # fmt: skip
@pytest.mark.parametrize("text", ["999999999999d", "123456789012h", "9" * 5000 + "us"])
def test_duration_of_many_digits_is_refused(fed: Flow, section: str, key: str, text: str) -> None:
    (said,) = lines_of(fed, fed.spec(), "--set", f"{section}.{key}={text}")
    assert said.startswith(f"{section}.{key}: ")
    assert "at most 36500d" in said


def test_longest_durations_are_obeyed(fed: Flow) -> None:
    spec = fed.spec(max_out_of_orderness="36500d")
    spec["features"][2].update(size="36500d", every="36500d")
    spec.update(windows={"allowed_lateness": "36500d"}, drift={"window": "36500d", "allowed_lateness": "36500d"})
    spec["model"].update(poll="36500d", admission_timeout="36500d")
    outcome = fed.run(spec)
    assert (outcome.code, outcome.summary.get("scored")) == (0, 3), outcome


def test_each_column_that_is_not_stated_beside_others_is_named(fed: Flow) -> None:
    said = lines_of(fed, fed.spec(columns={"delay": "number"}))
    assert spec_paths(said) == ["features[1]", "features[2].key"]
    assert all("events.columns is there, so no other column is read off the input" in line for line in said)
