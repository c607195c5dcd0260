"""The loop on a made-up stream: what decides about loans changes one day, and what follows is done without hands."""

import hashlib
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.loop import demo
from examples.loop.arriving import Arrivals
from examples.loop.plan import Loop
from examples.loop.rounds import told_advice
from examples.loop.story import worth_of
from gates.records import QualityRecords
from models.store.store import ModelStore
from schemas.times import parse_time_us
from tests.examples.made_up_loans import CHANGE, SHORT, made_up
from tests.pipeline.commands.commands import halflife


def ran(folder: Path, change: str, looks: int) -> tuple[int, str, str]:
    """Exit code, output and errors of the demo on so many looks."""
    loop = replace(SHORT, looks=SHORT.looks[:looks])
    folders = demo.Folders(folder, folder / "data", folder / "out")
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        code = demo.main((), folders, {"loans": loop}, {"loans": lambda _: made_up(change)})
    return code, out.getvalue(), errors.getvalue()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("loop")
    code, printed, errors = ran(folder, CHANGE, 6)
    assert code == 0, errors + printed
    return folder, printed


@pytest.fixture(scope="module")
def told(done: tuple[Path, str]) -> dict[str, Any]:
    """`audit version 2` of the loop's job."""
    return audit(done[0], "version", "2")


def audit(folder: Path, *words: str) -> dict[str, Any]:
    where = ["--store", str(folder / "data/loans/models"), "--audit", str(folder / "out/loans/audit")]
    shown: dict[str, Any] = json.loads(halflife("audit", *words, *where, "--model", SHORT.model, "--json").out)
    return shown


def test_what_wore_is_found_and_its_successor_becomes_champion_by_a_rollout(done: tuple[Path, str]) -> None:
    store = ModelStore(str(done[0] / "data/loans/models"), SHORT.model)
    releases = store.scan_releases().releases
    served = [(each.champion, each.shadows, [other.share for other in each.challengers]) for each in releases]
    assert served == [("1", (), []), ("1", ("2",), []), ("1", (), [0.5]), ("2", (), [])]
    assert [each.evidence.partition(":")[0] for each in releases] == ["", *["rollout"] * 3]
    assert " ".join(done[1].split()).count("version 2 becomes champion") == 1


def test_the_version_is_trained_on_what_was_known_at_the_advice_and_names_it(
    done: tuple[Path, str], told: dict[str, Any]
) -> None:
    training, advice = told["manifest"]["training"], told["advice"]["evidence"]
    assert (training["decision"], advice["verdict"]) == (advice["advice"], "retrain")
    assert training["parameters"]["because"] == advice["why"]
    file = Path(training["data"][0]["uri"].removeprefix("file://"))
    assert hashlib.sha256(file.read_bytes()).hexdigest() == training["data"][0]["sha256"]
    assert pq.read_table(file)["label_time"].to_pandas().max() < pd.Timestamp(training["trained_at"])
    assert advice["change"]["since"] == f"{CHANGE}T00:00:00Z"
    trained = pq.read_table(done[0] / "data/loans/training/2/trained.parquet")["event_id"].to_pylist()
    times = dict(zip(*(made_up(CHANGE).events[name].to_pylist() for name in ("id", "applied_at")), strict=True))
    first, last = (pick(times[each] for each in trained) for pick in (min, max))
    since, until = pd.Timestamp(advice["change"]["since"]), pd.Timestamp(training["trained_at"])
    assert since <= first < last < until - timedelta(days=14)


def test_each_step_has_its_evidence_and_the_new_champion_loses_less_by_later_labels(
    done: tuple[Path, str], told: dict[str, Any]
) -> None:
    assert [each["evidence"]["decision"] for each in told["gates"]] == ["begin", "promote", "promote"]
    assert all(each["evidence"]["high"] < 0 for each in told["gates"][1:])
    serving = audit(done[0], "at", told["releases"][-1]["from"])
    assert [(each["version"], each["role"]) for each in serving["versions"]] == [("2", "champion")]
    rows = QualityRecords(str(done[0] / "out/loans/quality"), SHORT.model).latest()
    changed, released = (parse_time_us(at) for at in (f"{CHANGE}T00:00:00Z", told["releases"][-1]["from"]))
    old, new = worth_of(rows, "1", changed, released), worth_of(rows, "2", released, 2**62)
    assert old is not None
    assert new is not None
    assert new.high < old.low
    assert "version 2 as champion" in done[1]


def test_a_stream_that_does_not_change_ends_with_1_and_says_why(tmp_path: Path) -> None:
    code, printed, errors = ran(tmp_path, "2030-01-01", 2)
    assert (code, "story" in printed) == (1, False)
    assert errors.strip().splitlines()[-1] == (
        "error: loans: no retrained version has become champion (no advice was to retrain); expected: one"
    )


@pytest.mark.parametrize("loop", demo.LOOPS.values(), ids=list(demo.LOOPS))
def test_versions_are_trained_on_advice_alone(loop: Loop) -> None:
    assert set(loop.trains_on) <= {"retrain", "look"}


@pytest.mark.parametrize(
    ("since", "said"), [(None, "since its first day as champion"), ("2019-04-04T00:00:00Z", "since 2019-04-04")]
)
def test_an_advice_says_since_when(since: str | None, said: str) -> None:
    loss = {"now": 0.3, "n": 1000, "fresh": 0.2}
    told = told_advice({"loss": loss, "verdict": "retrain", "advice": "id", "change": {"since": since}})
    assert told == f"advice: retrain (id): log loss 0.300 of 1,000 labelled events, fresh 0.200, {said}"


def test_what_arrives_later_is_not_there(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path, made_up(CHANGE, 1_000), recent=2)
    arrivals.before(SHORT.born)
    for look in SHORT.looks[:3]:
        arrivals.until(look)
    assert sorted(path.name for path in (tmp_path / "recent").glob("events*")) == [
        f"events-{look}.parquet" for look in SHORT.looks[1:3]
    ]
    labels = pa.concat_tables([pq.read_table(each) for each in (tmp_path / "arrived").glob("labels*")])
    assert labels["known_at"].to_pandas().max() < pd.Timestamp(SHORT.looks[2], tz="UTC")
