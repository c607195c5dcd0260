"""`halflife audit at` and `version` by the summaries of sealed segments: the answers of reading every receipt."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.asking.tallies import answered_by_another, scores_of
from audit.files.audit import Audit, ReceiptFilter
from models.store.backends import Backend
from models.store.store import ModelStore
from schemas.times import parse_time_us
from tests.audit.asking import altered, ask
from tests.audit.containers import receipt, write
from tests.audit.sealing.sealed import file_name, seal, segments
from tests.audit.world import FlightsAudit
from tests.pipeline.commands.commands import Ran, halflife

ROLES = ("champion", "challenger", "shadow", "replay")
START_US = 1_357_000_000_000_000
HOUR_US = 3_600_000_000
FILES, EACH = 6, 700


def drawn(seed: int) -> list[list[dict[str, Any]]]:
    """Files of receipts of two models, whose releases begin each hour, with events that another release answered, and
    scores that are there again in their file, in a later one, and with another role."""
    numbers, files = random.Random(seed), list[list[dict[str, Any]]]()
    for file in range(FILES):
        rows = []
        for n in range(file * EACH, (file + 1) * EACH):
            at_us = START_US + n * HOUR_US // EACH + numbers.randrange(-HOUR_US // 4, HOUR_US // 4)
            release = (at_us - START_US) // HOUR_US if numbers.random() < 0.95 else numbers.randrange(FILES)
            said = {"model": numbers.choice(("delays", "fares")), "version": f"v{release % 3}"}
            rows.append(receipt(n, event_time=at_us, release=release, role=numbers.choice(ROLES), **said))
        earlier = [row for rows in [*files, rows] for row in rows]
        rows += [row | {"scored_at": 1} for row in numbers.sample(earlier, 30)]
        rows += [row | {"role": "champion"} for row in numbers.sample(earlier, 3)]
        files.append(rows)
    return files


def _whole(root: Path) -> None:
    seal(root, size=FILES * EACH * 2)


def _in_two(root: Path) -> None:
    seal(root, size=FILES * EACH // 2)


def _older(root: Path) -> None:
    _in_two(root)
    without_summary(min((root / "sealed").glob("*/receipts.avro")).parent)


def without_summary(folder: Path) -> None:
    """A segment as it was sealed before there were summaries."""
    (folder / "summary").unlink()
    said = json.loads((folder / "segment.json").read_text("utf-8")) | {"format": 1}
    del said["files"]["summary"]
    (folder / "segment.json").write_text(json.dumps(said, sort_keys=True, separators=(",", ":")), encoding="utf-8")


def _half(root: Path) -> None:
    aside = sorted((root / "receipts").iterdir())[FILES // 2 :]
    kept = [path.read_bytes() for path in aside]
    for path in aside:
        path.unlink()
    _in_two(root)
    for path, data in zip(aside, kept, strict=True):
        path.write_bytes(data)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "unsealed": lambda _: None, "one segment": _whole, "two segments": _in_two, "half sealed": _half, "older": _older,
}  # fmt: skip


def laid_out(root: Path, files: list[list[dict[str, Any]]], layout: str) -> Audit:
    """An audit of these files."""
    for number, rows in enumerate(files):
        write(root / "receipts" / file_name(number), rows)
    LAYOUTS[layout](root)
    return Audit(str(root))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_of_a_version_are_those_of_a_count_by_hand(tmp_path: Path, layout: str) -> None:
    files = drawn(7)
    audit, rows = laid_out(tmp_path, files, layout), [row for each in files for row in each]
    for model in ("delays", "fares", "none"):
        for version in ("v0", "v1", "v2", "v3"):
            own = [row for row in rows if (row["model"], row["version"]) == (model, version)]
            ids = {role: {row["score_id"] for row in own if row["role"] == role} for role in ROLES}
            times = [row["event_time"] for row in own]
            found = scores_of(audit, model, version)
            assert found.counts == {role: len(held) for role, held in ids.items() if held}
            assert (found.first_us, found.last_us) == (min(times, default=None), max(times, default=None))
    assert audit.broken == {}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_events_that_another_release_answered_are_those_of_a_search_by_hand(tmp_path: Path, layout: str) -> None:
    files, counts = drawn(11), list[int]()
    audit, rows = laid_out(tmp_path, files, layout), [row for each in files for row in each]
    edges = [None, *(START_US + hour * HOUR_US for hour in range(1, FILES)), None]
    for release in range(FILES):
        since_us, until_us = edges[release], edges[release + 1]
        wanted = {
            row["event_id"] for row in rows
            if (since_us or 0) <= row["event_time"] < (until_us or 2**62)
            and (row["model"], row["role"]) in (("delays", "champion"), ("delays", "challenger"))
            and row["release"] != release
        }  # fmt: skip
        found = answered_by_another(audit, "delays", release, ReceiptFilter(since_us=since_us, until_us=until_us))
        assert found == tuple(sorted(wanted))
        counts.append(len(found))
    assert min(counts) > 0
    assert audit.broken == {}


def test_summaries_in_an_object_store_are_read_as_in_a_folder(tmp_path: Path) -> None:
    laid_out(tmp_path, drawn(5), "half sealed")
    bucket = Backend("memory://summarised")
    for path in (each for each in tmp_path.rglob("*") if each.is_file()):
        bucket.create(str(path.relative_to(tmp_path)), path.read_bytes())
    audit, local = Audit("memory://summarised"), Audit(str(tmp_path))
    assert scores_of(audit, "delays", "v1") == scores_of(local, "delays", "v1")
    assert answered_by_another(audit, "fares", 2, ReceiptFilter()) == answered_by_another(
        local, "fares", 2, ReceiptFilter()
    )
    [lost, *_] = sorted((tmp_path / "sealed").glob("*/summary"))
    bucket.delete(str(lost.relative_to(tmp_path)))
    again = Audit("memory://summarised")
    assert scores_of(again, "delays", "v1") == scores_of(local, "delays", "v1")
    assert list(again.broken) == [str(lost.relative_to(tmp_path))]


def emptied(root: Path) -> None:
    """Writes nonsense over all sealed receipts."""
    for path in (root / "sealed").glob("*/receipts.avro"):
        path.write_bytes(b"not to be read")


def test_no_sealed_receipt_is_read_where_the_summary_answers(flown: FlightsAudit, tmp_path: Path) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(flown.audit, copy)
    assert halflife("audit", "seal", "--audit", copy).code == 0
    emptied(copy)
    for words in (("at", "2013-01-03T20:00:00Z"), ("at", "2013-01-05"), ("version", "v1"), ("version", "v2")):
        wanted, found = ask(flown, *words, "--json"), ask(flown, *words, "--json", audit=copy)
        assert (found.code, found.err) == (0, "")
        assert told(found) == told(wanted)


def told(ran: Ran) -> dict[str, Any]:
    """An answer without who asked before."""
    said: dict[str, Any] = ran.json
    return {name: value for name, value in said.items() if name != "accessed"}


def test_of_a_segment_with_an_overtaken_event_only_its_block_is_read(tmp_path: Path) -> None:
    rows = [receipt(n, release=2 if n == 1500 else 1) for n in range(3000)]
    audit = laid_out(tmp_path, [rows], "one segment")
    [path] = (tmp_path / "sealed").glob("*/receipts.avro")
    data = path.read_bytes()
    path.write_bytes(data[:-1000] + b"\0" * 1000)  # in the last block
    assert answered_by_another(audit, "delays", 1, ReceiptFilter()) == ("e1500",)
    assert audit.broken == {}
    path.write_bytes(b"\0" * len(data))
    assert answered_by_another(audit, "delays", 1, ReceiptFilter()) == ()
    assert list(audit.broken) == [str(path.relative_to(tmp_path))]


@pytest.mark.parametrize("how", ["flipped", "removed", "another's"])
def test_a_summary_that_is_not_the_sealed_one_is_named_and_the_receipts_are_read(tmp_path: Path, how: str) -> None:
    files = drawn(3)
    wanted = scores_of(laid_out(tmp_path / "loose", files, "unsealed"), "delays", "v1")
    audit = laid_out(tmp_path / "audit", files, "two segments")
    first, second = sorted((tmp_path / "audit" / "sealed").glob("*/summary"))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes() if how == "another's" else data[:70] + bytes([data[70] ^ 1]) + data[71:])
    if how == "removed":
        first.unlink()
    assert scores_of(audit, "delays", "v1") == wanted
    [(key, why)] = audit.broken.items()
    assert (key, "next: halflife audit verify" in why) == (str(first.relative_to(tmp_path / "audit")), True)


@pytest.mark.parametrize("name", ["index", "receipts.avro"])
def test_damage_where_a_score_is_there_twice_is_named(tmp_path: Path, name: str) -> None:
    files = [[receipt(n) for n in range(900)], [receipt(n) for n in range(890, 1000)]]
    audit = laid_out(tmp_path, files, "one segment")
    [path] = (tmp_path / "sealed").glob(f"*/{name}")
    path.write_bytes(b"\0" * path.stat().st_size)
    found = scores_of(audit, "delays", "v1")
    assert sum(found.counts.values()) == (1000 if name == "index" else 0)
    assert list(audit.broken) == [str(path.relative_to(tmp_path))]


def test_a_summary_is_small(tmp_path: Path) -> None:
    laid_out(tmp_path, [[receipt(n) for n in range(20_000)]], "one segment")
    [path] = (tmp_path / "sealed").glob("*/summary")
    assert path.stat().st_size < 20_000 / 4


def released_again(flown: FlightsAudit, folder: Path) -> Path:
    """A copy of the store with two more releases that begin with the last one of the run."""
    shutil.copytree(flown.folder / "store", folder / "store")
    at_us = parse_time_us("2013-01-04T12:00:00Z")
    for champion in ("v1", "v2"):
        ModelStore(str(folder / "store"), "delays").append_release(
            champion=champion, effective_from_us=at_us, by="eve", reason="once more"
        )
    return folder / "store"


def test_releases_that_another_replaced_are_listed_with_it(flown: FlightsAudit, tmp_path: Path) -> None:
    where = ("--audit", flown.audit, "--store", released_again(flown, tmp_path), "--by", "dora")
    ran = halflife("audit", "version", "v1", "--json", *where)
    assert [each["release"] for each in ran.json["releases"]] == [1, 2, 3, 6]
    states = [(each["release"], each["replaced_by"], each["refused"]) for each in ran.json["releases"]]
    assert states == [(1, None, False), (2, None, False), (3, None, False), (6, 7, False)]
    ran = halflife("audit", "version", "v2", "--json", *where)
    states = [(each["release"], each["role"].split()[0], each["replaced_by"]) for each in ran.json["releases"]]
    assert states == [(2, "shadow", None), (3, "challenger", None), (5, "champion", 6), (7, "champion", None)]
    [replaced] = [each for each in ran.json["releases"] if each["replaced_by"]]
    assert replaced["from"] == replaced["until"] == "2013-01-04T12:00:00Z"
    assert f"replaced by release 6 at {replaced['replaced_at']}" in halflife("audit", "version", "v2", *where).out


def test_a_refused_release_is_listed_as_refused(flown: FlightsAudit) -> None:
    releases = ask(flown, "version", "v9", "--json").json["releases"]
    assert [each["release"] for each in releases] == [4]
    assert (releases[0]["refused"], releases[0]["replaced_by"]) == (True, None)
    assert "refused" in ask(flown, "version", "v9").out


def test_duplicates_of_sealed_scores_in_a_loose_file_count_once(flown: FlightsAudit, tmp_path: Path) -> None:
    own = [one for one in flown.receipts if one["version"] == "v2"]
    copy = altered(flown, tmp_path, *own[:40])
    assert halflife("audit", "seal", "--audit", copy).code == 0
    write(copy / "receipts" / "zzz.avro", own[30:90])
    said = ask(flown, "version", "v2", "--json", audit=copy).json
    assert sum(said["scores"].values()) == len(own)


@pytest.mark.parametrize("most", [{"release": 1}, {"release": 1, "model": "delays é"}, {"release": 7, "version": ""}])
def test_receipts_that_one_release_answered_are_counted_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: dict[str, Any]
) -> None:
    rows = [receipt(n, event_time=START_US + n * 7919 % 1000, **most) for n in range(3000)]
    rows[2000:2010] = [row | {"version": "v2"} for row in rows[2000:2010]]
    found = []
    for name, least in (("one", 1), ("each", 10**9)):
        monkeypatch.setattr("audit.files.summaries._MANY_ROWS", least)
        monkeypatch.setattr("audit.sealing.sources._AT_ONCE_RECORDS", 500)
        write(tmp_path / name / "receipts" / file_name(0), rows, sync_interval=9000)
        seal(tmp_path / name, size=10**6)
        found.append(segments(tmp_path / name)[0].summary)
    assert found[0].equals(found[1])
    assert found[0].num_rows > 3
