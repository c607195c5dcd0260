"""What is sealed is asked as what is not: the same answers, from the index, or from segments of the time that is asked
for."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.files.audit import Audit, ReceiptFilter
from schemas.times import parse_time_us
from tests.audit.asking import ask, one_of
from tests.audit.containers import write
from tests.audit.world import FlightsAudit
from tests.pipeline.commands.commands import halflife


@pytest.fixture(scope="module")
def sealed(flown: FlightsAudit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run's audit in which the receipts of each day are a segment, but for some that are not sealed."""
    audit = tmp_path_factory.mktemp("sealed") / "audit"
    shutil.copytree(flown.audit / "models", audit / "models")
    days = sorted({one["event_time"].date() for one in flown.receipts})
    for day in days:
        write(audit / "receipts" / f"{day}.avro", [one for one in flown.receipts if one["event_time"].date() == day])
        if day != days[-1]:
            ran = halflife("audit", "seal", "--audit", audit)
            assert ran.code == 0, ran.err
    return audit


def questions(flown: FlightsAudit) -> list[tuple[object, ...]]:
    """One of each kind, of events that are sealed and one that is not."""
    one, last = one_of(flown, role="challenger"), flown.receipts[-1]
    [(busiest, _)] = Counter(each["subject"] for each in flown.receipts if each["subject"]).most_common(1)
    return [
        ("score", one["score_id"], "--no_verify"),
        ("event", one_of(flown, role="shadow")["event_id"]),
        ("event", last["event_id"]),
        ("subject", busiest),
        ("record", flown.events[0]["id"]),
        ("version", "v2"),
        ("at", "2013-01-03T20:00:00Z"),
        ("score", "--from", "2013-01-03", "--to", "2013-01-03T13:00:00Z", "--limit", 10000),
        ("sql", "SELECT version, role, count(*) AS n FROM receipts GROUP BY ALL ORDER BY ALL"),
        ("sql", "SELECT kind, job, version, release FROM model_events ORDER BY ALL"),
    ]


def plain(text: str) -> list[Any]:
    """The lines of JSON without what differs by where and when it was asked, in any order."""
    documents = [json.loads(line) for line in text.splitlines()]
    for document in documents:
        for name in ("files", "accessed", "missing", "dead_letters"):
            document.pop(name, None)
        if isinstance(document.get("scores"), list):  # in the order of files, which are others when they are sealed
            document["scores"].sort(key=json.dumps)
    return sorted(documents, key=json.dumps)


def test_answers_are_the_same(flown: FlightsAudit, sealed: Path) -> None:
    for words in questions(flown):
        wanted, found = ask(flown, *words, "--json"), ask(flown, *words, "--json", audit=sealed)
        assert (found.code, found.err) == (wanted.code, wanted.err) == (0, ""), words
        assert plain(found.out) == plain(wanted.out), words


def test_what_is_sealed_counts_as_looked_through(flown: FlightsAudit, sealed: Path) -> None:
    files = len(list((sealed / "sealed").glob("*/receipts.avro"))) + len(list((sealed / "receipts").glob("*.avro")))
    ran = ask(flown, "event", "nobody", audit=sealed)
    assert f"looked through {len(flown.receipts)} receipts in {files} files, of which 0 unreadable" in ran.err


def test_segments_of_other_times_are_not_read(flown: FlightsAudit, sealed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(sealed, copy)
    for container in sorted((copy / "sealed").glob("*/receipts.avro"))[2:]:
        container.write_bytes(b"not to be read")
    first, last = parse_time_us("2013-01-01T00:00:00Z"), parse_time_us("2013-01-02T00:00:00Z")
    audit = Audit(str(copy))
    found = {one.receipt["score_id"] for one in audit.scan(ReceiptFilter(since_us=first, until_us=last))}
    assert found == {one["score_id"] for one in flown.receipts if one["event_time"].day == 1}
    assert audit.broken == {}
    assert len(list(audit.scan())) < len(flown.receipts)
    assert audit.broken != {}


def test_that_records_have_expired_is_said(flown: FlightsAudit, sealed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(sealed, copy)
    gone = one_of(flown, release=1)
    folder = min((copy / "sealed").glob("*/receipts.avro")).parent
    for name in ("receipts.avro", "index"):
        (folder / name).unlink()
    ran = ask(flown, "score", gone["score_id"], audit=copy)
    assert (ran.code, ran.out, "(1 sealed segments have expired)" in ran.err) == (1, "", True), ran.err


def test_scores_are_in_the_order_of_event_time_wherever_they_lie(flown: FlightsAudit, tmp_path: Path) -> None:
    [(busiest, _)] = Counter(each["subject"] for each in flown.receipts if each["subject"]).most_common(1)
    own = sorted((one for one in flown.receipts if one["subject"] == busiest), key=lambda one: one["event_time"])
    write(tmp_path / "receipts" / "a.avro", own[::-1])
    ran = halflife("audit", "subject", busiest, "--json", "--audit", tmp_path, "--store", flown.folder / "store")
    times = {one["score_id"]: one["event_time"] for one in own}
    found = [times[score_id] for score_id in ran.json["scores"]]
    assert (len(found) > 2, found) == (True, sorted(found))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("x\n")], ids=["gone", "junk"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_checkpoint_that_cannot_be_read_hides_its_own_segment_alone(
    flown: FlightsAudit, sealed: Path, tmp_path: Path, damage: Callable[[Path], Any], number: int
) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(sealed, copy)
    checkpoint = copy / "checkpoints" / f"{number:08}"
    damage(checkpoint)
    last = flown.receipts[-1]
    ran = ask(flown, "event", last["event_id"], audit=copy)
    said = f"checkpoints/{number:08} is passed over" in ran.err
    assert (ran.code, last["score_id"] in ran.out, said) == (1, True, True)
    ran = ask(flown, "event", "nobody", audit=copy)
    assert (ran.code, "of which 1 unreadable" in ran.err, "next: halflife audit verify" in ran.err) == (1, True, True)


def test_a_great_number_of_a_checkpoint_is_no_long_search(flown: FlightsAudit, sealed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(sealed, copy)
    shutil.copy(copy / "checkpoints" / "00000001", copy / "checkpoints" / "99999999")
    last = flown.receipts[-1]
    ran = ask(flown, "event", last["event_id"], audit=copy)
    assert (ran.code, last["score_id"] in ran.out) == (1, True)
    assert "checkpoints/99999999 is passed over: it is of segment 1; expected: of 99999999" in ran.err
