"""The loans example on a small part: rows of the package's form, decided, and asked about."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.files.audit import Audit
from examples.drift import statistics_of
from examples.loans import demo
from examples.loans.fairness import fair_week
from examples.loans.plan import EXPORTED, MODEL, TRAININGS
from examples.loans.prepare import OUTCOMES, prepare
from examples.loans.source import ANALYSIS, REFERENCE, TARGET, files_of
from examples.packages import SourceUnavailable
from models.store.store import ModelStore
from tests.pipeline.commands.commands import halflife

_ROWS = 3_000


def applications(first_id: int, first: str, last: str) -> pd.DataFrame:
    """Made up here: whoever has a small debt and repaid before repays more often."""
    random = np.random.default_rng(first_id)
    debt, before = random.uniform(0.26, 0.73, _ROWS), random.random(_ROWS) < 0.55
    repaid = random.random(_ROWS) < 1 / (1 + np.exp(12 * (debt - 0.5) - 2 * before))
    columns = {
        "id": np.arange(first_id, first_id + _ROWS),
        "car_value": random.integers(10_000, 110_000, _ROWS).astype(float),
        "salary_range": random.choice(["0 - 20K €", "20K - 40K €", "40K - 60K €", "60K+ €"], _ROWS),
        "debt_to_income_ratio": debt,
        "loan_length": random.integers(6, 23, _ROWS).astype(float),
        "repaid_loan_on_prev_car": before,
        "size_of_downpayment": random.choice(["0%", "10%", "20%"], _ROWS),
        "driver_tenure": random.uniform(0, 7, _ROWS),
        "repaid": repaid.astype(float),
        "timestamp": pd.date_range(first, last, _ROWS).strftime("%Y-%m-%d %H:%M:%S.000"),
    }
    return pd.DataFrame(columns)


def package(path: Path) -> Path:
    """A file with the three CSVs where the package has them."""
    reference = applications(0, "2018-01-01 00:00:00", "2018-10-30 17:51:16")
    analysis = applications(50_000, "2018-10-30 18:00:00", "2019-08-29 00:00:00")
    analysis.loc[analysis["timestamp"] >= "2019-03-31", "car_value"] += 60_000.0
    target = analysis[["id"]].assign(repaid=analysis["repaid"].astype(int))
    files = {REFERENCE: reference, ANALYSIS: analysis.drop(columns="repaid"), TARGET: target}
    with zipfile.ZipFile(path, "w") as archive:
        for name, rows in files.items():
            archive.writestr(f"nannyml/datasets/data/{name}", rows.to_csv(index=False))
    return path


@pytest.fixture(scope="module")
def told(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[demo.Paths, str]:
    """The demo's files, and what it printed."""
    folder = tmp_path_factory.mktemp("loans")
    wheel = package(folder / "nannyml.whl")
    paths = demo.Paths(folder / "data", folder / "models", folder / "out", wheel)
    with pytest.MonkeyPatch.context() as patched, io.StringIO() as printed:
        patched.chdir(root)
        patched.setattr("sys.stdout", printed)
        assert demo.main(paths) == 0
        return paths, printed.getvalue()


def test_each_application_is_decided_once_and_the_wrong_export_decides_nothing(told: tuple[demo.Paths, str]) -> None:
    paths, said = told
    summary: dict[str, Any] = json.loads((paths.out / "summary.json").read_text())
    assert summary["scored"] == summary["records_read"] == _ROWS
    assert summary["release_outcomes"]["2"]["reason"] == "golden_mismatch"
    assert set(summary["versions"]) == {"1", "2"}
    assert f"release 2 changed nothing: golden_mismatch: version '{EXPORTED}'" in said


def test_a_shift_is_told_from_the_week_that_holds_it_on_and_in_none_before(told: tuple[demo.Paths, str]) -> None:
    paths, said = told
    run = json.loads((paths.out / "summary.json").read_text())["run"]
    rows = [row for row in statistics_of(paths.out / "drift", run).to_pylist() if row["drifted"]]
    weeks = {f"{row['window_start']:%Y-%m-%d}" for row in rows if row["column"] == "car_value" and not row["segment"]}
    assert min(weeks) == "2019-03-28"
    assert len(weeks) == 22  # up to that of 22 August, with no gap
    assert {row["column"] for row in rows} <= {"car_value", "score"}
    assert "first of 22 weeks that drifted" in said
    assert said.index("2019-03-28", said.index("weeks that drifted")) < said.index("2019-04-04")


def test_one_week_tells_what_was_decided_for_groups_as_its_receipts_and_outcomes_say(
    told: tuple[demo.Paths, str],
) -> None:
    paths, said = told
    week = fair_week(paths.out / "quality", json.loads((paths.out / "summary.json").read_text())["run"])
    assert week is not None
    begins = pd.Timestamp(week.begins, tz="UTC")
    receipts = pd.DataFrame([each.receipt for each in Audit(str(paths.out / "audit")).scan()])
    own = receipts[(receipts["version"] == week.version) & (receipts["role"] == "champion")]
    times = pd.to_datetime(own["event_time"].astype("int64"), unit="us", utc=True)
    own = own[(times >= begins) & (times < begins + pd.Timedelta("7d"))]
    outcomes = pd.read_csv(paths.data / OUTCOMES, dtype={"id": str}).set_index("id")["repaid"]
    repaid, approved = outcomes[own["event_id"]].to_numpy() > 0, (own["decision"] == "approved").to_numpy()
    tenure = own["features"].map(lambda each: each["driver_tenure"]).to_numpy()
    assert [group[0] for group in week.groups] == [
        "driver_tenure < 3",
        "3 <= driver_tenure < 6",
        "6 <= driver_tenure < 9",
    ]
    for (_, count, *shares), low in zip(week.groups, (0, 3, 6), strict=True):
        member = (tenure >= low) & (tenure < low + 3)
        wanted = [approved[member], approved[member & repaid], approved[member & ~repaid]]
        assert count == f"{member.sum():,}"
        known = [
            (share, f"{100 * each.mean():.0f} %") for share, each in zip(shares, wanted, strict=True) if len(each) >= 30
        ]
        assert [share.partition(" (")[0] for share, _ in known] == [each for _, each in known]
    assert f"in the week from {week.begins}, by version {week.version}" in said
    assert "equalised odds" in said
    assert "docs/fairness.md" in said


def test_a_version_learns_from_outcomes_that_were_known(told: tuple[demo.Paths, str]) -> None:
    store = ModelStore(str(told[0].store), MODEL)
    outcomes = pd.read_csv(told[0].data / OUTCOMES, dtype={"id": str}).set_index("id")
    for training in TRAININGS:
        manifest = store.read_manifest(training.version)
        records = pd.read_parquet(io.BytesIO(store.read_file(manifest, manifest.training["records"], 1_000_000)))
        assert len(records) == manifest.training["parameters"]["rows"]
        assert outcomes.loc[records["event_id"], "known_at"].max() < training.until


def test_every_question_about_the_rejection_is_answered_from_what_was_written(told: tuple[demo.Paths, str]) -> None:
    paths, said = told
    receipts = pd.DataFrame([each.receipt for each in Audit(str(paths.out / "audit")).scan()])
    decided = receipts[(receipts["version"] == "2") & (receipts["role"] == "champion") & (receipts["score"] < 0.6)]
    rejection = decided.sort_values(["score", "event_id"], ascending=[False, True]).iloc[0]
    for words in (
        f"audit score {rejection.score_id} --html",
        f"{rejection.score}",
        "rejected",
        f"{rejection.features['car_value']}",
        "contribution",
        rejection.digest,
        "examples.loans",
        "of what version 2 approves from 0.6 on, less is not repaid",
        "2019-05-10T00:00:00Z",
        f"audit subject {rejection.event_id} --job examples/loans/job.yaml",
        "yes: the version gives the same score, to the bit",
        "proven",
    ):
        assert words in said
    assert rejection.decision == "rejected"
    assert rejection.reasons is not None
    assert (paths.out / "decision.html").read_text(encoding="utf-8").count(rejection.event_id) > 1


@pytest.mark.parametrize("which", ["first", "last", "decided"])
def test_lineage_of_a_record_is_what_its_files_say(told: tuple[demo.Paths, str], which: str) -> None:
    paths = told[0]
    receipts = pd.DataFrame([each.receipt for each in Audit(str(paths.out / "audit")).scan()])
    store, named = ModelStore(str(paths.store), MODEL), dict[str, set[str]]()
    for training in TRAININGS:
        manifest = store.read_manifest(training.version)
        raw = store.read_file(manifest, manifest.training["records"], 1_000_000)
        named[training.version] = set(pd.read_parquet(io.BytesIO(raw))["event_id"])
    ids = {"first": min(named["2"] - named["1"]), "last": max(named["1"]), "decided": receipts["event_id"].iloc[0]}
    where = ("--audit", paths.out / "audit", "--store", paths.store, "--model", MODEL)
    said = halflife("audit", "record", ids[which], "--scores", "--json", *where).json
    trained = [version for version in sorted(named) if ids[which] in named[version]]
    distinct = receipts.drop_duplicates("score_id")
    by_role = {name: Counter(distinct.loc[distinct["version"] == name, "role"]) for name in trained}
    assert [each for each in said["trained_versions"] if each in named] == trained
    assert {name: said["given"][name]["scores"] for name in trained} == by_role


def test_a_second_preparation_writes_nothing(told: tuple[demo.Paths, str]) -> None:
    paths = told[0]
    before = {path: path.stat().st_mtime_ns for path in paths.data.iterdir()}
    prepare(paths.data, wheel=paths.wheel)
    assert {path: path.stat().st_mtime_ns for path in paths.data.iterdir()} == before


def test_a_file_that_is_not_the_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "nannyml.whl").write_bytes(b"not it")
    with pytest.raises(SourceUnavailable, match=r"nannyml\.whl is not readable: .*delete it and run again"):
        files_of(tmp_path, tmp_path / "nannyml.whl")
