"""What every verb prints: no secret in any spelling, no terminal sequences, names unchanged."""

import ast
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from models import redaction
from pipeline.reporting.printer import print_json
from pipeline.run import run
from tests.pipeline.commands.commands import Models, Ran, halflife

QUOTED = "it's \"quoted\" \\ and long"
SECRETS = ["plain-secret-77", QUOTED, "two  spaces\nand a line", "p@ss/word?x=1", "<b>&secret"]
ADDRESSES = ["https://{}@host/events", "https://{}:x@host/events", "s3://user:{}@bucket/events?sig=1"]
RUN, LIST, DOCTOR = ("run",), ("models", "list"), ("doctor", "--runner", "direct")
VERBS: list[Sequence[str]] = [RUN, LIST, DOCTOR, ("features", "--out", "training")]


def said(verb: Sequence[str], *words: str) -> Ran:
    return halflife(*verb, *words)


def spec_at(folder: Path, **changes: object) -> str:
    spec = {
        "job": "j",
        "events": {"uri": str(folder / "in.json"), "format": "json", "event_id": "id", "event_time": "at"},
        "features": ["x"],
        "model": {"name": "m", "store": str(folder / "store")},
        "sinks": {"scores": str(folder / "scores")},
        **changes,
    }
    (folder / "job.yaml").write_text(json.dumps(spec))
    return str(folder / "job.yaml")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_a_message_is_hidden_by_every_verb(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: Sequence[str], secret: str
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", secret)
    ran = said(verb, "--job", spec_at(tmp_path), "--set", f"drift.window={json.dumps(secret)}")
    assert ran.code == 2
    assert "drift.window" in ran.err
    for part in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], *secret.splitlines()):
        assert part not in ran.err


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("address", ADDRESSES)
def test_credentials_of_an_address_are_hidden_by_every_verb(
    tmp_path: Path, verb: Sequence[str], address: str
) -> None:
    events = {"uri": address.format("TOKEN77"), "format": "json", "event_id": "id", "event_time": "at"}
    ran = said(verb, "--job", spec_at(tmp_path, events=events, model={"name": "m", "store": address.format("TOKEN77")}))
    assert ran.code != 0
    assert "TOKEN77" not in ran.err + ran.out


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("name", ["\x1b[31mred", "\x1b]0;title\x07", "right‮left"])
def test_a_name_does_not_control_the_terminal(tmp_path: Path, verb: Sequence[str], name: str) -> None:
    ran = said(verb, "--job", spec_at(tmp_path), "--set", f"drift.window={json.dumps(name)}")
    assert ran.code == 2
    assert all(sign.isprintable() or sign == "\n" for sign in ran.err)


@pytest.mark.parametrize("name", ["[red]loud[/red]", ":skull: here", "[link=x]y[/link]"])
def test_markup_in_a_name_is_shown_as_it_is(tmp_path: Path, name: str) -> None:
    models = Models(str(tmp_path / "store"))
    models.put(tmp_path / "payload", "1")
    assert models("release", "--champion", "1", "--reason", name).code == 0
    assert name in models("timeline").out


@pytest.mark.parametrize("secret", SECRETS)
def test_json_hides_the_values_of_secret_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str
) -> None:
    models = Models(str(tmp_path / "store"))
    models.put(tmp_path / "payload", "1")
    assert models("release", "--champion", "1", "--reason", f"as {secret} said").code == 0
    monkeypatch.setenv("BROKER_PASSWORD", secret)
    ran = models("timeline", "--json")
    assert "as … said" in json.dumps(ran.json, ensure_ascii=False)


def test_a_traceback_hides_secrets_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "plain-secret-77")
    broken = Path(spec_at(tmp_path))
    (tmp_path / "in.json").write_text('{"id": "a", "at": "2026-01-01T00:00:00Z", "x": 1}\n')

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no answer to plain-secret-77")

    monkeypatch.setattr("pipeline.run.prepare_run", fails)
    assert run(["--job", str(broken), "--verbose"]) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "plain-secret-77" not in printed


@pytest.mark.parametrize("verb", [RUN, ("features", "--out", "training"), DOCTOR, LIST], ids=lambda verb: verb[0])
def test_a_secret_in_an_option_that_is_not_known_is_hidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: Sequence[str]
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "plain-secret-77")
    ran = said(verb, "--job", spec_at(tmp_path), "--broker_password=plain-secret-77", "\x1b[31m")
    assert (ran.code, "plain-secret-77" in ran.err, "\x1b" in ran.err) == (2, False, False)


@pytest.mark.parametrize("sign", ["\x9b31m", "\u202e", "\u2028", "\x7f", "\U000e0001"])
def test_json_has_no_character_that_controls_a_terminal(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": f"Grüße 😀 {sign}"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": f"Grüße 😀 {sign}"}
    assert "Grüße 😀" in printed
    assert printed.rstrip("\n").isprintable()


def test_only_the_printer_prints(root: Path) -> None:
    printing = {"pipeline/process/shadowed.py"}  # runs before anything of ours can be imported
    printing |= {"pipeline/reporting/printer.py", "pipeline/commands/output.py", "pipeline/endpoints/printing.py"}
    found = {
        path.relative_to(root).as_posix()
        for path in (root / "pipeline").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert found <= printing


USAGE: dict[str, Sequence[str]] = {
    "--sinks: 'maybe' is not allowed; allowed: append, new, replace": ("run", "--sinks", "maybe"),
    "--max_dead_letters: 'lots' is not allowed; expected: a number of": ("run", "--max_dead_letters", "lots"),
    "--out: missing; expected: a value": ("features", "--job", "x"),
    "--runner: missing; allowed: direct, flink, dataflow": ("doctor", "--job", "x"),
    "--set: missing; expected: a value": ("run", "--set"),
    "'--bogus' is not known; expected: an option of Halflife's or of Beam's": ("run", "--bogus"),
    "--champion: missing; expected: a value": ("models", "release"),
    "--bogus: not known; expected: an option of this command": ("models", "list", "--bogus"),
    "--from: 'soon' is not allowed; expected: an RFC 3339 time": ("models", "release", "--champion=v1", "--from=soon"),
}


@pytest.mark.parametrize("says", USAGE)
def test_bad_usage_is_one_line_with_the_next_command(says: str) -> None:
    ran = halflife(*USAGE[says])
    verb = " ".join(USAGE[says][: 2 if USAGE[says][0] == "models" else 1])
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(f"halflife {verb}: {says}")
    assert ran.err.endswith(f"; next: halflife {verb} --help\n")


def test_a_report_of_many_names_looks_once_which_variables_are_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each look at the environment takes as long as hundreds of names: a person's thousands of scores took 0.3 s."""
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2hunter2")
    looked, of_process = Counter[str](), redaction._secret_values

    def counted() -> dict[str, str]:
        looked["environment"] += 1
        return of_process()

    monkeypatch.setattr(redaction, "_secret_values", counted)
    print_json({"scores": [f"{number}" for number in range(500)], "said": ["it is hunter2hunter2", "s3://a:b@c"]})
    said = json.loads(capsys.readouterr().out)
    assert (looked.total(), said["said"], len(said["scores"])) == (1, ["it is …", "s3://…@c"], 500)
