"""`audit expire` keeps what is under a hold."""

from pathlib import Path
from typing import Any

import pytest

from tests.audit.containers import receipt
from tests.audit.erasing.private import Private, private
from tests.audit.sealing.sealed import seal
from tests.pipeline.commands.commands import halflife

BEFORE = ("expire", "--before", "2014-01-01", "--json")


@pytest.fixture
def made(tmp_path: Path) -> Private:
    """Two sealed segments of receipts: events e0 to e19, of all seven subjects, and e20 to e24 of N6 and N0 to N3."""
    made = private(tmp_path)
    for path in sorted((made.audit / "receipts").iterdir())[1:]:
        path.unlink()
    seal(made.audit, size=100)
    made.add_receipts(20, [receipt(20 + at) for at in range(5)])
    seal(made.audit, size=100)
    return made


def numbers(said: list[dict[str, Any]]) -> list[int]:
    return [each["segment"] for each in said]


@pytest.mark.parametrize("subject", ["N5", "N0"])
def test_segment_with_receipts_of_a_held_subject_is_kept_and_named(made: Private, subject: str) -> None:
    first, second = numbers(made.ask(*BEFORE, "--dry_run").json["expired"])
    made.ask("hold", subject, "--reason", "a case")
    only_first = subject == "N5"
    shown = made.ask(*BEFORE, "--dry_run").json
    done = made.ask(*BEFORE)
    assert (done.code, done.json["expired"]) == (0, shown["expired"]), done
    assert numbers(done.json["expired"]) == ([second] if only_first else [])
    assert numbers(done.json["kept"]) == ([first] if only_first else [first, second])
    assert all(each["held"] == made.hashes(subject) for each in done.json["kept"])
    line = made.ask(*BEFORE[:-1])
    assert f"segment {first} is kept: it has receipts of subjects under a hold: {made.hashes(subject)[0]}" in line.err
    made.ask("hold", subject, "--release")
    assert numbers(made.ask(*BEFORE).json["expired"]) == ([first] if only_first else [first, second])
    assert made.ask("verify", "--sample", "0").code == 0


def test_receipts_that_were_written_in_plain_are_kept_too(made: Private) -> None:
    made.add_receipts(60, [receipt(60)], encrypted=False)  # N4
    seal(made.audit, size=100)
    made.ask("hold", "N4", "--reason", "a case")
    kept = made.ask(*BEFORE).json["kept"]
    assert [each["held"] for each in kept] == [made.hashes("N4")] * len(kept)
    assert (len(kept), kept[-1]["receipts"]) == (2, 1)


def test_nothing_encrypted_is_dropped_without_the_key_store_that_has_the_holds(made: Private) -> None:
    where = ("--audit", made.audit, "--store", made.folder / "store", "--model", "delays")
    before = sorted(path.name for path in made.audit.rglob("*"))
    refused = halflife("audit", *BEFORE, *where)
    said = ("--keys: missing", "encrypted", "expected: the key store, whose holds count")
    assert (refused.code, [each in refused.err for each in said]) == (2, [True] * 3), refused
    assert sorted(path.name for path in made.audit.rglob("*")) == before
    lost = halflife("audit", *BEFORE, *where, "--keys", made.folder / "typo")
    assert (lost.code, "holds no keys" in lost.err) == (1, True)
    assert sorted(path.name for path in made.audit.rglob("*")) == before
    done = halflife("audit", *BEFORE, *where, "--keys", made.folder / "keys")
    assert (done.code, len(done.json["expired"])) == (0, 2), done


def test_nothing_is_dropped_while_it_cannot_be_said_what_is_held(made: Private) -> None:
    made.ask("hold", "N5", "--reason", "a case")
    for entry in (made.folder / "keys" / "register").rglob("*.json"):
        entry.write_text("{")
    refused = made.ask(*BEFORE)
    assert (refused.code, "cannot be read; expected" in refused.err) == (1, True), refused
    assert len(list(made.audit.rglob("receipts.avro"))) == 2
