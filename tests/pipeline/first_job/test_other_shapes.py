"""Data of other shapes for `halflife init`: nested JSON, numbers that are times, times that only some labels have."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.first_job.looking import look_at
from pipeline.first_job.proposal import Proposal, propose
from pipeline.first_job.questions import JobDecisions
from pipeline.first_job.spec_text import spec_text
from pipeline.first_job.train_text import train_text
from schemas.validation import SpecError

ROWS = 600


def payments(time_name: str) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(7)
    for row in range(ROWS):
        amount = float(rng.gamma(2, 50))
        fields = {"id": f"p{row}", "amount": round(amount, 2), "at": {"shop": f"s{row % 3}"}}
        yield {"payment": fields, "card": f"c{row % 20}", time_name: 1_700_000_000_000 + row * 60_000,
               "serial": 4_000_000_000_000 + row, "fraud": bool(amount > 200 or row % 50 == 0)}  # fmt: skip


def proposed(path: Path, **stated: str) -> Proposal:
    return propose(look_at(str(path)), JobDecisions(stated))


@pytest.mark.parametrize("time_name", ["created", "stand"])
def test_columns_within_objects_are_proposed_by_their_paths(tmp_path: Path, time_name: str) -> None:
    path = tmp_path / "payments.json"
    path.write_text("".join(json.dumps(each) + "\n" for each in payments(time_name)))
    made = proposed(path)
    assert (made.event_id, made.event_time, made.form.time_unit) == ("payment.id", time_name, "ms")
    assert {"payment.amount", "payment.at.shop"} <= set(made.chosen.columns)


def test_envelopes_in_files_are_recognised(tmp_path: Path) -> None:
    changes = [{"before": None, "after": each, "op": "c", "ts_ms": 1_800_000_000_000} for each in payments("created")]
    deleted = {**changes[0], "op": "d", "before": changes[0]["after"], "after": None}
    (tmp_path / "changes.json").write_text("".join(json.dumps(each) + "\n" for each in [deleted, *changes, deleted]))
    attributes = {"specversion": "1.0", "source": "/p", "type": "paid"}
    events = [{**attributes, "id": f"e{n}", "data": each} for n, each in enumerate(payments("created"))]
    (tmp_path / "events.json").write_text(json.dumps(events, indent=1))
    for name, envelope in (("changes", "debezium"), ("events", "cloudevents")):
        made = proposed(tmp_path / f"{name}.json")
        found = (made.look.events["envelope"], made.event_time, made.subject, made.look.table.num_rows)
        assert found == (envelope, "created", "card", ROWS)
        assert {"payment.amount", "payment.at.shop"} <= set(made.chosen.columns), made.chosen
        assert f"envelope: {envelope}" in spec_text(made, "payments")


def test_a_column_called_op_is_no_envelope(tmp_path: Path) -> None:
    records = [{**each, "op": "buy", "after": 1.0} for each in payments("created")]
    (tmp_path / "payments.json").write_text("".join(json.dumps(each) + "\n" for each in records))
    assert "envelope" not in proposed(tmp_path / "payments.json").look.events


def test_without_any_time_it_is_said_which_columns_there_are(tmp_path: Path) -> None:
    (tmp_path / "flowers.csv").write_text("a,b,kind\n" + "".join(f"{row},{row * 7 % 5},x\n" for row in range(50)))
    with pytest.raises(SpecError, match="event_time: no column of a, b, kind holds a time in every record; expected"):
        proposed(tmp_path / "flowers.csv")


def customers(folder: Path, of_all: bool) -> Path:
    """Customers, with the day on which they left; `of_all`: or else the day on which they were asked."""
    rng = np.random.default_rng(8)
    signed = 1_600_000_000_000_000 + np.arange(ROWS) * 3_600_000_000
    left = rng.random(ROWS) < 0.3
    ended = pa.array(signed + 30 * 86_400_000_000, pa.int64(), mask=~(left | of_all)).cast(pa.timestamp("us", "UTC"))
    table = pa.table({"customer_id": range(ROWS), "signup": pa.array(signed).cast(pa.timestamp("us", "UTC")),
                      "age": rng.normal(50, 9, ROWS), "churned": left, "end_date": ended})  # fmt: skip
    pq.write_table(table, folder / "customers.parquet")
    return folder / "customers.parquet"


@pytest.mark.parametrize(("of_all", "later"), [(True, "end_date"), (False, None)])
def test_a_time_that_only_one_label_has_says_not_when_the_others_were_known(
    tmp_path: Path, of_all: bool, later: str | None
) -> None:
    made = proposed(customers(tmp_path, of_all))
    assert made.label is not None
    assert (made.label.later, "end_date" in made.chosen.columns) == (later, False)
    assert made.label.labelled.sum() == ROWS


def test_a_time_that_only_one_label_has_leaves_nothing_to_learn_where_it_is_stated(tmp_path: Path) -> None:
    made = proposed(customers(tmp_path, False), label_time="end_date")
    assert (made.label, "end_date" in made.chosen.columns) == (None, False)
    [why] = [each.why for each in made.decisions.made if each.name == "not learnt"]
    assert "known labels are positive, and at least 2 of each kind" in why


def test_script_ends_with_the_code_of_a_command_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "payments.json"
    path.write_text("".join(json.dumps(each) + "\n" for each in payments("created")))
    monkeypatch.setattr(subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 5))
    with pytest.raises(SystemExit) as ended:
        exec(compile(train_text(proposed(path)), "train.py", "exec"), {"__name__": "__main__"})
    assert ended.value.code == 5
