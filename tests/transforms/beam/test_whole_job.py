"""The whole job over real flights against the brute-force reference: features, releases, roles, scores, counts."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from examples.flights.prepare import CACHE
from examples.flights.prepare import prepare as prepare_flights
from examples.packages import SourceUnavailable
from pipeline.run import Prepared
from tests.reference.frames import differences, expected_feature
from tests.reference.reference import definitions, expected_counts, expected_scores, score_id
from tests.transforms.beam import flights
from tests.transforms.beam.flights import NAMES, Ran, World


class Case(NamedTuple):
    """A job that ran, and the world it ran in."""

    world: World
    job: Prepared
    ran: Ran


def departures(extent: str, root: Path, folder: Path) -> Path:
    """The committed five days, or all of January from the source archive."""
    if extent == "five days":
        return root / "tests" / "data" / "flights" / "departures-2013-01.avro"
    try:
        prepare_flights(folder, months=(1,), cache=CACHE)
    except SourceUnavailable as problem:
        pytest.skip(f"a month of flights cannot be had: {problem}")
    return folder / "departures-2013-01.avro"


@pytest.fixture(scope="module", params=["five days", "january"])
def case(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("whole")
    path = departures(request.param, root, folder / "data")
    made = flights.world(folder, flights.read_events([path]))
    return Case(made, flights.prepared(made, str(path), "ran"), flights.run(made, str(path), "ran"))


def features_by_event(case: Case) -> dict[str, dict[str, Any]]:
    """All features, as version 1 read them, of each event that it scored in any role."""
    receipts = case.ran.receipts
    return {receipt["event_id"]: receipt["features"] for receipt in receipts if receipt["version"] == "v1"}


@pytest.fixture(scope="module")
def expected(case: Case) -> dict[str, list[Any]]:
    """The reference's value of each windowed feature, in the order of events."""
    return {spec.name: expected_feature(case.world.events, spec) for spec in case.job.job.features.windowed}


def test_windowed_features_are_those_of_the_reference(case: Case, expected: dict[str, list[Any]]) -> None:
    found, ids = features_by_event(case), case.world.events["id"].tolist()
    wrong, seen = {}, [index for index, event_id in enumerate(ids) if event_id in found]
    assert len(seen) > 0.6 * len(ids)
    for name, values in expected.items():
        mine = [found[ids[index]][name] for index in seen]
        off = differences(mine, [values[index] for index in seen])
        if off:
            wrong[name] = (len(off), off[0])
    assert len(expected) == len(NAMES)
    assert wrong == {}


def test_every_event_is_scored_by_the_release_and_roles_of_the_reference(case: Case) -> None:
    events = case.world.events
    wanted = set(expected_scores(events, case.world.releases).itertuples(index=False, name=None))
    fields = ("event_id", "release", "version", "role")
    found = [tuple(receipt[field] for field in fields) for receipt in case.ran.receipts]
    assert len(found) == len(set(found))
    assert set(found) == wanted
    # Everything that the timeline was designed to show does occur.
    assert {(version, role) for _, _, version, role in wanted} >= {
        ("v1", "champion"),
        ("v2", "challenger"),
        ("v3", "shadow"),
    }
    assert {release for _, release, _, _ in wanted} == {1, 2, 4, 5, 6, 7}


def test_score_ids_are_those_of_event_digest_role_and_definitions(case: Case) -> None:
    manifests = {version: case.world.store.read_manifest(version) for version in flights.COEFFICIENTS}
    tile = case.ran.summary["job"]["windows"]["max_values_per_tile"]
    defined = {
        version: definitions(flights.windowed(), [entry.name for entry in manifest.inputs], tile)
        for version, manifest in manifests.items()
    }
    receipts = case.ran.receipts
    assert {(r["version"], r["definitions"]) for r in receipts} == set(defined.items())
    assert all(
        r["score_id"] == score_id(r["event_id"], manifests[r["version"]].digest, r["role"], r["definitions"])
        for r in receipts
    )
    assert len({receipt["score_id"] for receipt in receipts}) == len(receipts)


def test_every_receipt_names_the_run_of_the_summary_and_the_job(case: Case) -> None:
    assert {(r["run"], r["job"]) for r in case.ran.receipts} == {(case.ran.summary["run"], "flights")}


def test_scores_are_the_models_formula_of_the_references_features(case: Case, expected: dict[str, list[Any]]) -> None:
    events = case.world.events
    plain = {name: events[name].tolist() for name in ("dep_delay", "distance")}
    columns = {**plain, **expected}
    rows = {
        event_id: {name: values[index] for name, values in columns.items()}
        for index, event_id in enumerate(events["id"])
    }
    wanted = [flights.linear_score(receipt["version"], rows[receipt["event_id"]]) for receipt in case.ran.receipts]
    assert differences([receipt["score"] for receipt in case.ran.receipts], wanted) == []


def test_counts_are_those_of_the_reference_and_scores_are_the_answers(case: Case) -> None:
    summary, events = case.ran.summary, case.world.events
    counts = expected_counts(events, case.world.releases)
    assert summary["versions"] == counts["versions"]
    assert summary["releases"] == {str(sequence): n for sequence, n in counts["releases"].items()}
    assert (summary["decoded"], summary["scored"], summary["late"]) == (len(events), len(events), 0)
    assert summary["receipts"] == len(case.ran.receipts)
    answers = [receipt["score_id"] for receipt in case.ran.receipts if receipt["role"] != "shadow"]
    assert sorted(answers) == sorted(record["score_id"] for record in case.ran.scores)
    assert sorted(record["event_id"] for record in case.ran.scores) == sorted(events["id"])


def test_receipts_tell_the_event_they_are_of(case: Case) -> None:
    events = case.world.events
    subjects = [None if pd.isna(subject) else subject for subject in events["tailnum"]]
    told = {receipt["event_id"]: (receipt["event_time"], receipt["subject"]) for receipt in case.ran.receipts}
    assert told == dict(zip(events["id"], zip(events["departed_at"], subjects, strict=True), strict=True))
