"""`halflife init`: from data of any shape to a scored job; nothing that gives the label away, nothing overwritten."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.first_job.looking import look_at
from pipeline.first_job.proposal import Proposal, propose
from pipeline.first_job.questions import JobDecisions, OpenQuestion
from pipeline.verbs import main
from schemas.validation import SpecError
from tests.pipeline.commands.commands import Ran, halflife
from tests.pipeline.first_job.datasets import ROWS, SETS
from tests.pipeline.jobs.flows import read_avro

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def proposals(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Proposal]:
    """What is proposed for each data set where nobody is asked."""
    folders = {name: tmp_path_factory.mktemp(name) for name in SETS}
    return {name: propose(look_at(str(SETS[name](folders[name]))), JobDecisions()) for name in SETS}


# Id, time, form of times, subject, label, time of the label.
IDENTITY = {
    "orders": ("Bestellnr", "Bestellzeit", "%d.%m.%Y %H:%M", "Kunde", "Retoure", None),
    "clicks": ("__row_hash", "ts", None, "user", "clicked", None),
    "loans": ("loan_id", "applied_at", None, None, "defaulted", "settled_at"),
    "sensors": ("reading_id", "measured_time", None, "machine", None, None),
    "customers": ("customer_id", "as_of_date", "date", None, "churned", None),
}
FEATURES = {
    "orders": {"Betrag", "Rabatt", "Zahlart", "Größe"},
    "clicks": {"seconds", "mobile", "page"},
    "loans": {"amount", "income", "purpose"},
    "sensors": {"temperature", "vibration", "mode"},
    "customers": {"plan", *(f"usage_{index:02}" for index in range(60))},
}
LEAKS = {
    "orders": {"Erstattung": "whether it is there determines the label", "Retourengrund": "its name"},
    "loans": {"days_open": "it is there exactly where settled_at is", "settlement_fee": "its name",
              "written_off": "it determines the label"},
    "customers": {"churn_reason": "its name", "birth_date": "it is a time", "constant": "it is always the same"},
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_id_time_subject_and_label_are_found(proposals: Mapping[str, Proposal], name: str) -> None:
    made = proposals[name]
    label = None if made.label is None else made.label.column
    later = None if made.label is None else made.label.later
    found = (made.event_id, made.event_time, made.form.time_format, made.subject, label, later)
    assert found == IDENTITY[name]


@pytest.mark.parametrize("name", SETS)
def test_features_are_what_is_known_at_the_event(proposals: Mapping[str, Proposal], name: str) -> None:
    assert set(proposals[name].chosen.columns) == FEATURES[name]
    why = proposals[name].chosen.left_out
    assert {column: why[column][: len(said)] for column, said in LEAKS.get(name, {}).items()} == LEAKS.get(name, {})


@pytest.mark.parametrize("name", ["orders", "clicks", "sensors"])
def test_windows_are_over_the_events_of_one_subject(proposals: Mapping[str, Proposal], name: str) -> None:
    made = proposals[name]
    assert {each["key"] for each in made.chosen.windowed} == {made.subject}
    assert {each.get("column") for each in made.chosen.windowed} <= {None, *made.chosen.numbers}


def asked_of(name: str, proposals: Mapping[str, Proposal], **stated: str) -> list[OpenQuestion]:
    """What somebody would be asked who takes all suggestions."""
    questions: list[OpenQuestion] = []

    def ask(question: OpenQuestion) -> str:
        questions.append(question)
        return question.suggested

    propose(proposals[name].look, JobDecisions(stated, ask))
    return questions


ASKED = {"orders": ["time_zone", "event_id"], "clicks": [], "loans": [], "sensors": ["label"], "customers": []}


@pytest.mark.parametrize("name", SETS)
def test_only_what_the_data_leave_open_is_asked(proposals: Mapping[str, Proposal], name: str) -> None:
    assert [question.name for question in asked_of(name, proposals)] == ASKED[name]


def test_what_is_stated_is_not_asked_and_must_fit(proposals: Mapping[str, Proposal]) -> None:
    assert asked_of("orders", proposals, time_zone="Europe/Berlin", event_id="Bestellnr") == []
    unfit = {"label": "Retour", "event_time": "Betrag", "time_zone": "Berlin", "positive": "vielleicht"}
    for name, value in unfit.items():
        with pytest.raises(SpecError, match=f"{name}.*{value}"):
            propose(proposals["orders"].look, JobDecisions({name: value}))


def proposed(folder: Path, header: str, rows: Iterable[str]) -> Proposal:
    (folder / "data.csv").write_text("\n".join([header, *rows]))
    return propose(look_at(str(folder / "data.csv")), JobDecisions())


def at(number: int) -> str:
    return f"2024-01-{1 + number % 28:02}T{number % 24:02}:{number % 60:02}:00Z"


def test_strong_predictor_of_a_number_is_a_feature_and_a_copy_of_it_is_not(tmp_path: Path) -> None:
    numbers = [(n, 20 + n % 180, n * 7 % 11) for n in range(400)]
    rows = [f"{n},{at(n)},{sqm},{rooms},{sqm * 11 + rooms},{sqm * 22 + rooms * 2}" for n, sqm, rooms in numbers]
    made = proposed(tmp_path, "id,created_at,sqm,rooms,target,twice", rows)
    assert made.chosen.columns == ("sqm", "rooms")
    assert made.chosen.left_out["twice"] == "it is the label in other words"


def test_limit_that_separates_the_classes_is_found(tmp_path: Path) -> None:
    rows = [f"{n},{at(n)},{n * 37 % 101},{n * 13 % 7},{n * 37 % 101 > 60},{n % 2 + 1}" for n in range(400)]
    made = proposed(tmp_path, "id,created_at,minutes,size,late,status", rows)
    assert made.chosen.columns == ("size", "status")
    assert made.chosen.left_out["minutes"] == "it determines the label"


def test_of_two_numbers_that_say_nothing_the_larger_is_positive(tmp_path: Path) -> None:
    rows = [f"{n},{at(n)},{n * 13 % 7},{1 + (n % 3 == 0)}" for n in range(60)]
    made = proposed(tmp_path, "id,created_at,size,defaulted", rows)
    assert made.label is not None
    assert made.label.positive == "== 2"


class InProcess:
    """In place of the processes of the commands: the same words in this process; `ran` are the commands."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []

    def __call__(self, words: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert words[0] == sys.executable
        self.ran.append(list(words[1:]))
        if words[1] == "train.py":
            script = Path("train.py").read_text("utf-8")
            exec(compile(script, "train.py", "exec"), {"__name__": "__main__"})
            return subprocess.CompletedProcess(words, 0)
        assert list(words[1:4]) == ["-P", "-m", "halflife"]
        code = main(list(words[4:]))
        assert code == 0, words
        return subprocess.CompletedProcess(words, code)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to begin in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    return tmp_path


SCORED = {"clicks": ("auc", ROWS), "loans": ("auc", ROWS), "sensors": (None, ROWS), "customers": (None, ROWS)}


@pytest.mark.parametrize("name", SCORED)
def test_one_command_scores_the_data(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = InProcess()
    monkeypatch.setattr(subprocess, "run", processes)
    ran = halflife("init", SETS[name](folder).name, "--yes")
    assert ran.code == 0, ran
    metric, rows = SCORED[name]
    assert ("AUC on " in ran.out + ran.err) == (metric == "auc")
    assert ("there is no label: an IsolationForest" in ran.out) == (name == "sensors")
    assert len({record["event_id"] for record in read_avro(folder / "out" / "scores")}) == rows
    [manifest] = (folder / "models").glob("*/versions/1/manifest.json")
    assert all(part in manifest.read_text() for part in ('"golden"', '"profile"'))
    job = yaml.safe_load((folder / "job.yaml").read_text("utf-8"))
    assert ("labels" in job) == (name != "sensors")


def test_commands_are_three_and_leave_a_scored_job(folder: Path) -> None:
    """Orders of Berlin's time, where packages of one's own are called as ours are. Their hour that occurred twice is
    the earlier one."""
    for name in ("pipeline", "schemas", "runners", "transforms"):  # packages of the user's own
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")
    path = SETS["orders"](folder)
    words = ["init", path.name, "--yes", "--time_zone", "Europe/Berlin"]
    command, env = [sys.executable, "-m", "halflife", *words], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)
    assert done.returncode == 0, done.stderr
    typed = [line for line in done.stdout.splitlines() if line.startswith("$ ")]
    commands = [["python", "train.py"], ["halflife", "models"], ["halflife", "run"]]
    assert [line.split()[1:3] for line in typed] == commands
    assert len(read_avro(folder / "out" / "scores")) == ROWS
    assert any(line.split() == ["events", "scored", str(ROWS)] for line in done.stdout.splitlines())
    job = yaml.safe_load((folder / "job.yaml").read_text("utf-8"))
    assert (job["events"]["time_zone"], job["events"]["time_ambiguous"]) == ("Europe/Berlin", "earlier")


@pytest.mark.parametrize("name", ["job.yaml", "train.py", "out", "models"])
def test_what_is_there_is_not_overwritten(name: str, folder: Path) -> None:
    (folder / name).mkdir() if "." not in name else (folder / name).write_text("mine")
    ran = halflife("init", SETS["clicks"](folder).name, "--yes", "--no_run")
    assert (ran.code, f"{name} in it" in ran.err) == (2, True), ran
    assert sorted(path.name for path in folder.iterdir()) == sorted([name, "clicks.jsonl"])


def wrong(folder: Path, text: str, *words: str) -> Ran:
    (folder / "data.csv").write_text(text)
    return halflife("init", "data.csv", "--no_run", *words)


def test_what_cannot_be_decided_is_named(folder: Path) -> None:
    timeless = wrong(folder, "id,amount,fraud\n1,2.5,yes\n2,3.5,no\n", "--yes")
    assert (timeless.code, "no column of id, amount, fraud holds a time" in timeless.err) == (2, True), timeless
    bare = wrong(folder, "id,time,fraud\n" + "".join(f"{n},2024-01-01T00:00:{n:02}Z,yes\n" for n in range(9)), "--yes")
    assert (bare.code, "fraud: it is always the same" in bare.err) == (2, True), bare
    silent = wrong(folder, "id,time,amount\n1,2024-01-01T00:00:00Z,5\n")
    assert (silent.code, "--yes to decide without" in silent.err) == (2, True), silent
    other = halflife("init", "pubsub://projects/p/subscriptions/s", "--yes")
    assert (other.code, "a file, a folder, a pattern or a topic of Kafka" in other.err) == (2, True), other
    assert not (folder / "job.yaml").exists()


def test_terminal_is_asked_and_a_wrong_answer_is_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["nothing", "mode", "b"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    ran = halflife("init", SETS["sensors"](folder).name, "--no_run")
    assert (ran.code, "'nothing' is not allowed; allowed: mode, none" in ran.err) == (0, True), ran
    job = yaml.safe_load((folder / "job.yaml").read_text("utf-8"))
    assert (job["labels"]["column"], job["labels"]["positive"], "mode" in job["features"]) == ("mode", "== b", False)
