"""How far a bounded run has come: one line on a terminal, nothing in a pipe, lines of a log where logs are wanted."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.reporting import log_form
from pipeline.reporting.printer import as_json_line, note
from pipeline.reporting.progress import progress_shown
from runners import direct
from schemas.dead_letter_stages import DECODE
from tests.pipeline.commands.habits.conftest import Small
from transforms.flow import metrics, tally

ERASED = "\r\x1b[K"


def on_a_terminal(*words: object) -> tuple[int, str]:
    """The exit code, and what a terminal is sent by the command."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", *(str(word) for word in words)])
    sent = b""
    while True:
        try:
            read = os.read(terminal, 1 << 16)
        except OSError:  # so Linux ends what a terminal says
            break
        sent += read
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sent.decode()


def in_a_pipe(*words: object) -> tuple[int, str]:
    command = [sys.executable, "-m", *(str(word) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_line_is_written_again_and_taken_away(small: Small) -> None:
    code, sent = on_a_terminal("pipeline", "--job", small.job, "--sinks", "replace")
    assert code == 0
    lines = re.findall(r"\r\x1b\[K([^\r\n]*)", sent)
    assert re.fullmatch(r"\d+% read, [\d,]+ events, [\d,]+/s(, .*)?, \d+ s", lines[0])
    assert lines[-1].strip().startswith("records read")  # the report follows where the line was


def test_a_pipe_is_told_nothing(small: Small) -> None:
    assert in_a_pipe("pipeline", "--job", small.job, "--sinks", "replace") == (0, "")


def test_each_line_of_a_json_log_is_an_object(small: Small) -> None:
    code, said = in_a_pipe(
        "pipeline.cli", "run", "--job", small.job, "--sinks", "append", "--log-format", "json", "--verbose"
    )
    found = [json.loads(line) for line in said.splitlines()]
    assert (code, len(found) > 0) == (0, True)
    assert all(each.keys() >= {"time", "level", "logger", "message"} for each in found)
    assert {each["job"] for each in found if "run" in each} == {"trips"}


@pytest.mark.parametrize("words", [("--jbo", "x"), ("--job", "/no.yaml"), ("--job", "/no.yaml", "--verbose")], ids=str)
def test_errors_are_objects_too(words: tuple[str, ...]) -> None:
    code, said = in_a_pipe("pipeline.cli", "models", "list", *words, "--log_format=json")
    (found,) = [json.loads(line) for line in said.splitlines()]
    assert (code, found["level"]) == (2, "error")


def test_what_others_write_is_wrapped(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import os, warnings\n"
        "from pipeline.reporting import log_form\n"
        "from pipeline.reporting.printer import as_json_line, log_to_stderr\n"
        "with log_form.logged(['--log_format', 'json'], as_json_line):\n"
        "    log_to_stderr(False)\n"
        "    os.write(2, b'native code\\n')\n"
        "    os.system('echo a program >&2')\n"
        "    warnings.warn('a real one')\n"
        "os.write(2, b'after\\n')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    *inside, after = capfd.readouterr().err.splitlines()
    found = [json.loads(line) for line in inside]
    assert [each["message"] for each in found[:2]] == ["native code", "a program"]
    assert (found[2]["level"], found[2]["logger"]) == ("warning", "py.warnings")
    assert "a real one" in found[2]["message"]
    assert after == "after"


def said_within(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of a run that reads half of a file of 8 bytes, scores and loses events."""
    said, waited = "", threading.Event()
    with log_form.logged(arguments, as_json_line), progress_shown(["/proc/self/comm"], every_s=0.01):
        metrics.counter(metrics.EVENTS_DECODED).inc(4000)
        metrics.counter(metrics.EVENTS_SCORED).inc(3990)
        metrics.dead_letters(DECODE).inc(10)
        metrics.answers_by(7).inc(3990)
        for _ in range(1000):
            said += capsys.readouterr().err
            if "release 7" in said:
                break
            waited.wait(0.01)
    return said


def test_counts_are_fields(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_within(capsys, "--log_format", "json")
    last = json.loads(said.splitlines()[-1])
    told = last["progress"]
    assert (told["events"], told["scored"], told["dead_letters"], told["release"]) == (4000, 3990, 10, 7)
    assert "3,990 scored, release 7, 10 dead letters" in last["message"]


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading", "multi_processing"])
def test_counts_of_other_processes_are_not_known_before_the_end(mode: str) -> None:
    options = PipelineOptions(["--direct_running_mode", mode, "--direct_num_workers", "2"])
    assert direct.knows_counts(direct.bounded_runner(), options) == (mode != "multi_processing")


def test_counts_that_are_not_known_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    waited, said = threading.Event(), ""
    logged = log_form.logged(("--log_format", "json"), as_json_line)
    with logged, progress_shown(["/proc/self/comm"], every_s=0.01, counted=False):
        for _ in range(1000):
            said += capsys.readouterr().err
            if "running" in said:
                break
            waited.wait(0.01)
    told = json.loads(said.splitlines()[0])["progress"]
    assert (told["events"], told["share"], told["rate"]) == (None, None, None)


def test_verbose_says_it_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    log_form.be_verbose(True)
    try:
        said = said_within(capsys)
    finally:
        log_form.be_verbose(False)
    assert "halflife: 0% read, 4,000 events" in said or "halflife: 4,000 events" in said


def test_nothing_is_said_elsewhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with progress_shown([str(tmp_path / "none")], every_s=0.01):
        note("a remark")
        assert not [each for each in threading.enumerate() if each.name == "progress"]
    assert capsys.readouterr().err == "halflife: a remark\n"


def test_tally_begins_at_zero() -> None:
    tally.reached("file", 3)
    with progress_shown():
        assert (tally.counted(), tally.offsets()) == ({}, {})


def test_states_have_colours_on_a_terminal_only(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    words = "pipeline.cli", "models", "timeline", *small.location
    assert "\x1b[32min force\x1b[0m" in on_a_terminal(*words)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    code, sent = on_a_terminal(*words)
    assert (code, "in force" in sent, re.findall(r"\x1b\[3\dm", sent)) == (0, True, [])
    assert "\x1b" not in small.models("timeline").out
