"""`halflife init` of data from which little or nothing can be learnt: it says so, and what there is is scored."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.first_job.looking import look_at
from pipeline.first_job.proposal import Proposal, propose
from pipeline.first_job.questions import JobDecisions
from pipeline.first_job.train_text import train_text
from schemas.validation import SpecError
from tests.pipeline.commands.commands import halflife
from tests.pipeline.first_job.test_init import InProcess, at, folder, proposed
from tests.pipeline.jobs.flows import read_avro

__all__ = ["folder"]
ROWS = 60


def rows(label: Callable[[int], Any], count: int = ROWS, time: Callable[[int], str] | None = None) -> Iterable[str]:
    moment = time or (lambda n: f"2024-01-01T00:{n // 60:02}:{n % 60:02}Z")
    return [f"{n},{moment(n)},{n * 37 % 101},{n * 13 % 7},{label(n)}" for n in range(count)]


def made_of(tmp_path: Path, name: str, label: Callable[[int], Any], count: int = ROWS) -> Proposal:
    return proposed(tmp_path, f"id,created_at,amount,size,{name}", rows(label, count))


def why_of(made: Proposal, decision: str) -> str:
    return "; ".join(f"{each.value}: {each.why}" for each in made.decisions.made if each.name == decision)


@pytest.mark.parametrize(("name", "label", "decision", "why"), [
    ("fraud", lambda n: "yes" if n == 7 else "no", "not learnt", "fraud: 1 of 60 known labels are positive, and"),
    ("fraud", lambda n: "no" if n == 7 else "yes", "not learnt", "fraud: 59 of 60 known labels are positive"),
    ("target", lambda n: 5, "not learnt", "target: its 60 known numbers are all the same"),
    ("fraud", lambda n: "no", "label", "none: fraud is always no, from which nothing can be learnt"),
    ("fraud", lambda n: "", "label", "none: fraud holds nothing"),
    ("target", lambda n: f"c{n % 40}", "label", "none: target has more than two values, and one has to be stated"),
    ("outcome", lambda n: "abc"[n % 3], "label", "none: outcome has more than two values"),
])  # fmt: skip
def test_label_to_learn_nothing_from_is_said_and_is_no_feature(
    tmp_path: Path, name: str, label: Callable[[int], Any], decision: str, why: str
) -> None:
    made = made_of(tmp_path, name, label)
    assert (made.label, made.split_at, made.chosen.columns) == (None, None, ("amount", "size"))
    assert why_of(made, decision).startswith(why)
    assert name in made.chosen.left_out
    assert "IsolationForest" in train_text(made)


@pytest.mark.parametrize("first", [range(50, 60), range(49, 60)])
def test_training_part_of_one_class_is_no_part(tmp_path: Path, first: range) -> None:
    made = made_of(tmp_path, "fraud", lambda n: "yes" if n in first else "no")
    assert made.label is not None
    assert made.split_at is None
    assert "nearly all labels are alike: all are learnt from" in why_of(made, "split")
    assert "# before the last fifth" in train_text(made)


def test_stated_label_must_be_learnable(tmp_path: Path) -> None:
    look = made_of(tmp_path, "fraud", lambda n: "yes" if n == 7 else "no").look
    with pytest.raises(SpecError, match=r"--label: 'fraud'.*1 of 60 known labels are positive.*next: --label none"):
        propose(look, JobDecisions({"label": "fraud"}))


def test_one_of_several_classes_may_be_stated(tmp_path: Path) -> None:
    look = made_of(tmp_path, "outcome", lambda n: "abc"[n % 3]).look
    made = propose(look, JobDecisions({"label": "outcome", "positive": "b"}))
    assert made.label is not None
    assert (made.label.positive, made.label.is_binary, made.split_at is None) == ("== b", True, False)
    with pytest.raises(SpecError, match="of several values with --positive"):
        propose(look, JobDecisions({"label": "outcome", "positive": "d"}))


def test_one_record_is_said_to_be_too_few(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="DATA: '1 record' is not allowed; expected: 2 records or more; next: halflife"):
        made_of(tmp_path, "fraud", lambda n: "yes", 1)
    assert made_of(tmp_path, "fraud", lambda n: "yes" if n else "no", 2).label is None


SHAPES: dict[str, tuple[str, Iterable[str], str, int]] = {
    "last": ("fraud", rows(lambda n: "yes" if n > 50 else "no"), "scored", ROWS),
    "constant": ("target", rows(lambda n: 5, 20, lambda n: at(1)), "target is not learnt: an IsolationForest", 20),
    "two": ("fraud", rows(lambda n: "yes" if n else "no", 2), "fraud is not learnt: an IsolationForest", 2),
}


@pytest.mark.parametrize(("name", "lines", "said", "count"), SHAPES.values(), ids=SHAPES)
def test_what_little_can_be_learnt_from_is_scored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, lines: Iterable[str], said: str, count: int
) -> None:
    (folder / "data.csv").write_text("\n".join([f"id,created_at,amount,size,{name}", *lines]))
    monkeypatch.setattr(subprocess, "run", InProcess())
    ran = halflife("init", "data.csv", "--yes")
    assert (ran.code, said in ran.out) == (0, True), ran
    assert len(read_avro(folder / "out" / "scores")) == count


def test_wide_data_with_empty_columns_are_proposed_whole(tmp_path: Path) -> None:
    numbers = np.random.default_rng(2).normal(size=(300, ROWS))
    table = {"id": range(ROWS), "created_at": [at(n) for n in range(ROWS)], "empty": pa.nulls(ROWS, pa.float64())}
    table |= {f"f{index}": row for index, row in enumerate(numbers)} | {"fraud": [n % 3 == 0 for n in range(ROWS)]}
    pq.write_table(pa.table(table), tmp_path / "wide.parquet")
    made = propose(look_at(str(tmp_path / "wide.parquet")), JobDecisions())
    assert len(made.chosen.columns) == 300
    assert made.chosen.left_out["empty"] == "it holds no numbers, truth values or texts"


@pytest.mark.parametrize("text", ["", "id,created_at,amount,fraud\n"])
def test_data_without_a_record_are_said_to_hold_none(folder: Path, text: str) -> None:
    (folder / "data.csv").write_text(text)
    ran = halflife("init", "data.csv", "--yes")
    line = "halflife: no readable record in data.csv; expected: records that can be looked at; next: mend the input\n"
    assert (ran.code, ran.err, [each.name for each in folder.iterdir()]) == (1, line, ["data.csv"])


@pytest.mark.parametrize("last", [ROWS, 50])
def test_script_says_that_its_labels_are_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """As where the rest of the data, which was not looked at, is unlike the first rows."""
    made = made_of(folder, "fraud", lambda n: "yes" if n % 2 and n < last else "no")
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def written(words: Any, **_: Any) -> Any:
        for name in ("train", "test"):
            (folder / "out" / "training" / name).mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"amount": [1.0], "size": [2.0], "label": [False]}),
                           folder / "out" / "training" / name / "rows.parquet")  # fmt: skip
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", written)
    with pytest.raises(SystemExit, match=r"^train.py: the labels to learn from are all the same; expected: different"):
        exec(compile(train_text(made), "train.py", "exec"), {"__name__": "__main__"})
