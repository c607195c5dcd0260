"""`audit erase` and `audit hold` by the command line, over encrypted receipts."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from audit.erasing.asking import asked_subject
from audit.erasing.erasure import Erased, erase_subject
from audit.files.audit import Audit
from models.privacy.identities import identity_of_subject
from models.privacy.receipts import decrypt_receipts
from models.privacy.register import AskedBy
from models.store.backends import Backend
from schemas.records import arrow_schema
from tests.audit.containers import receipt
from tests.audit.erasing.private import FIRST_US, Private, private
from tests.audit.sealing.sealed import seal, segments
from tests.pipeline.commands.commands import halflife
from tests.pipeline.jobs.spelled import found_in, written

ASKED = AskedBy("dpo@example.com", FIRST_US, "a case")


@pytest.fixture
def made(tmp_path: Path) -> Private:
    return private(tmp_path)


def opened(made: Private) -> dict[str, str]:
    """What becomes of the receipt of each event when it is opened with the keys that are left."""
    found = dict[str, str]()
    for rows in Audit(str(made.audit)).columns(arrow_schema("Receipt").names):
        states = decrypt_receipts(rows, made.keys.find).states
        found.update(zip(rows.column("event_id").to_pylist(), states, strict=True))
    return found


def test_erased_subject_cannot_be_read_and_all_others_can(made: Private) -> None:
    before = opened(made)
    done = made.ask("erase", "N3", "--by", "dpo", "--reason", "N3 asked on 3 March", "--json")
    assert (done.code, done.json["erased"], done.json["keys_destroyed"], done.json["receipts"]) == (0, True, 1, 6), done
    after = opened(made)
    assert set(before.values()) == {"opened"}
    assert {event for event, state in after.items() if state == "erased"} == {f"e{n}" for n in range(3, 40, 7)}
    assert set(after.values()) == {"opened", "erased"}
    [event] = made.events("erased")
    reason = f"{made.hashes('N3')[0]} asked on 3 March"
    assert (event["actor"], event["reason"], event["job"]) == ("dpo", reason, "flights")
    assert json.loads(event["evidence"]) == {"subjects": made.hashes("N3"), "keys_destroyed": 1}
    assert "N3" not in done.out + done.err


def test_versions_that_were_trained_on_the_subject_are_named_with_when_they_last_served(made: Private) -> None:
    first = made.ask("erase", "N1", "--json").json
    [trained] = first["trained"]
    assert first["trained_versions"] == ["v1"]
    assert (trained["version"], trained["in_force"], trained["last_served"]) == ("v1", True, "2013-01-01T00:26:59Z")
    assert (trained["digest"], trained["records"]) == (made.store.read_manifest("v1").digest, 1)
    in_plain, by_event, nothing = (made.ask("erase", name, "--json").json for name in ("N2", "N5", "N6"))
    assert [each["trained_versions"] for each in (in_plain, by_event, nothing)] == [["v2"], ["v2"], []]
    page = made.ask("erase", "N5")
    assert (page.code, "v2" in page.out, "erased before" in page.out) == (0, True, True), page


def test_what_is_not_reached_is_listed_with_where_it_is(made: Private) -> None:
    made.add_receipts(50, [receipt(50), receipt(57), receipt(51)], encrypted=False)
    left = {each["what"]: each for each in made.ask("erase", "N1", "--json").json["not_reached"]}
    assert left["events"]["where"] == str(made.folder / "events.avro")
    assert "v1, v2" in left["bundles"]["where"]
    assert left["receipts"]["why"].startswith("2 receipts of it in plain, in 1 files")
    assert left["model"]["where"] == "delays v1"
    assert {"sinks.dead_letters", "checkpoints", "copies", "exports"} <= left.keys()


def test_hold_refuses_the_erasure_and_says_who_held_and_why(made: Private) -> None:
    held = made.ask("hold", "N4", "--by", "legal", "--reason", "case 12 of N4", "--json")
    assert (held.code, held.json["held"], held.json["by"]) == (0, True, "legal")
    before = made.key_objects()
    refused = made.ask("erase", "N4", "--json")
    assert (refused.code, refused.json["erased"], refused.json["reason"]) == (1, False, "held")
    assert refused.json["hold"]["by"] == "legal"
    assert refused.json["hold"]["reason"] == f"case 12 of {made.hashes('N4')[0]}"
    line = made.ask("erase", "N4")
    assert (line.code, "by legal" in line.err, "next: halflife audit hold --release" in line.err) == (1, True, True)
    assert (made.key_objects(), made.events("erased")) == (before, [])
    assert made.ask("hold", "N4", "--release", "--reason", "closed").code == 0
    assert made.ask("erase", "N4", "--json").json["keys_destroyed"] == 1
    actions = [json.loads(event["evidence"])["action"] for event in made.events("held")]
    assert sorted(actions) == ["hold", "release"]


def test_hold_twice_stays_the_first_and_none_cannot_be_released(made: Private) -> None:
    first, second = (made.ask("hold", "N4", "--by", by, "--reason", "a case", "--json") for by in ("ann", "bob"))
    assert (first.json["since"], "ann") == (second.json["since"], second.json["by"])
    misspelt = made.ask("hold", "n4", "--reason", "a case", "--json")
    assert (misspelt.code, first.json["known"], misspelt.json["known"]) == (0, True, False)
    assert ("no key so far" in misspelt.err, "no key so far" in first.err) == (True, False)
    none = made.ask("hold", "N5", "--release")
    assert (none.code, "under no hold; expected" in none.err) == (1, True)
    missing = made.ask("hold", "N5")
    assert (missing.code, "--reason" in missing.err, "expected: why" in missing.err) == (2, True, True)


def test_subject_that_has_no_key_is_unknown_and_nothing_is_written(made: Private) -> None:
    before = made.key_objects()
    for name in ("N7", "n1", "", "N1 ", "é"):
        unknown = made.ask("erase", name, "--json")
        assert (unknown.code, unknown.json["reason"]) == (1, "unknown")
    assert "expected: the subject as the column events.subject has it" in made.ask("erase", "N7").err
    assert (made.key_objects(), made.events("erased")) == (before, [])


def test_erased_again_destroys_only_what_came_since(made: Private) -> None:
    first, second = (made.ask("erase", "N1", "--json").json for _ in range(2))
    assert (first["keys_destroyed"], first["erased_before"]) == (1, None)
    assert (second["keys_destroyed"], second["erased_before"]) == (0, first["at"])
    made.add_receipts(64, [receipt(64)])
    assert opened(made)["e64"] == "opened"
    assert made.ask("erase", "N1", "--json").json["keys_destroyed"] == 1
    assert opened(made)["e64"] == "erased"
    assert len(made.events("erased")) == 3


def test_keys_of_all_epochs_are_destroyed_and_the_number_of_objects_does_not_grow(tmp_path: Path) -> None:
    one, three = private(tmp_path / "one"), private(tmp_path / "three", epochs=3)
    many = private(tmp_path / "many")
    for first in range(100, 400, 50):
        many.add_receipts(first, [receipt(first + at) for at in range(50)])
    written = list[int]()
    for each in (one, many, three):
        before = each.key_objects()
        assert each.ask("erase", "N3", "--json").json["keys_destroyed"] == (3 if each is three else 1)
        after = each.key_objects()
        written.append(sum(1 for key, size in after.items() if before.get(key) != size))
        assert "erased" in opened(each).values()
    assert written == [4, 4, 6]  # its keys of three epochs lie in two blocks
    assert len(three.hashes("N3")) == 3
    assert {event for event, state in opened(three).items() if state == "erased"} == {f"e{n}" for n in range(3, 40, 7)}


def test_erasure_that_was_killed_is_ended_by_the_next(made: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in range(1, 5):
        subject = f"N{moment}"
        killed_at(moment, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            made.keys.erase(identity_of_subject(subject), ASKED)
        monkeypatch.undo()
        done = made.ask("erase", subject, "--json")
        assert (done.code, done.json["erased"]) == (0, True), done
        assert {opened(made)[f"e{n}"] for n in range(moment, 40, 7)} == {"erased"}
        assert made.ask("hold", subject, "--reason", "late").code == 0
    assert len(made.events("erased")) == 4


def killed_at(moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills whoever erases before so many writings: the beginning, the next generation, the emptying, the end."""
    left = [moment - 1]

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return method(*arguments)

        return run

    for name in ("create", "destroy"):
        monkeypatch.setattr(Backend, name, counted(getattr(Backend, name)))


def test_erasers_that_race_all_end_and_one_destroyed_the_key(made: Private) -> None:
    def erased(number: int) -> Erased:
        keys = made.keys
        return erase_subject(keys, asked_subject(keys, "N2", AskedBy(f"racer {number}", FIRST_US)))

    with ThreadPoolExecutor(8) as racers:
        done = list(racers.map(erased, range(8)))
    assert sum(each.destroyed for each in done) == 1
    assert made.keys.register.entries(identity_of_subject("N2"))[-1].action == "erased"
    assert {opened(made)[f"e{n}"] for n in range(2, 40, 7)} == {"erased"}
    assert made.ask("erase", "N2", "--json").json["keys_destroyed"] == 0


def test_sealed_receipts_verify_after_an_erasure_and_counts_add_up(made: Private) -> None:
    seal(made.audit, size=100)
    made.ask("erase", "N3")
    seal(made.audit, size=100)
    found = made.ask("verify", "--json").json
    names = ("altered", "added", "removed", "reordered", "contradictions", "broken_files")
    assert {name: found[name] for name in names if found[name]} == {}
    assert (found["receipts"], found["unsealed"], found["duplicated"]) == (40, 0, 0)
    assert sum(each.statement.records for each in segments(made.audit) if each.statement.kind == "receipts") == 40


def test_no_byte_of_an_erased_person_is_left_in_audit_store_and_keys(made: Private) -> None:
    person, event, value = "anna.karenina@example.com", "e999", 771234.5625
    made.add_receipts(
        60, [receipt(60, subject=person, event_id=event, features={"income": value, "iban": "IBAN-9K3W"})]
    )
    told = [made.ask("hold", person, "--reason", f"the case of {person}, no. 12"), made.ask("subject", person),
            made.ask("hold", person, "--release", "--reason", f"{person} agreed")]  # fmt: skip
    assert [each.code for each in told] == [0, 0, 0], told
    held = found_in(written(made.folder), [person, "IBAN-9K3W", value])
    done = made.ask("erase", person, "--reason", f"{person} asked", "--json")
    left = [*written(made.folder), ("out", done.out.encode()), ("err", done.err.encode())]
    assert (done.code, done.json["receipts"]) == (0, 1)
    assert held == {f"{person} in 000001.json"}  # the register keeps whom a hold is on, until the erasure
    assert found_in(left, [person, "IBAN-9K3W", value]) == set()
    assert person in told[1].out
    assert made.ask("subject", person, "--json").json["missing"][0].endswith("erased: its key was destroyed")


def test_keys_can_be_named_without_a_job(made: Private) -> None:
    where = ("--keys", made.folder / "keys", "--audit", made.audit, "--store", made.folder / "store")
    done = halflife("audit", "erase", "N1", *where, "--json")
    assert (done.code, done.json["keys_destroyed"], done.json["trained_versions"]) == (0, 1, ["v1"]), done
    for without, said in ((2, "--audit"), (0, "--keys")):
        wrong = halflife("audit", "erase", "N2", *where[:without], *where[without + 2 :])
        assert (wrong.code, said in wrong.err, "expected" in wrong.err) == (2, True, True), wrong
    empty = halflife("audit", "erase", "N2", "--keys", made.folder / "typo", *where[2:])
    assert (empty.code, "holds no keys; expected" in empty.err) == (1, True), empty
    assert not (made.folder / "typo").exists()


def test_erasure_that_the_audit_cannot_say_is_done_and_fails(made: Private) -> None:
    (made.folder / "file").write_text("no folder")
    (made.folder / "closed").mkdir()
    (made.folder / "closed" / "models").write_text("no folder")
    closed = made.ask("erase", "N1", "--audit", made.folder / "closed")
    said = ("the audit does not say so", "next: halflife audit erase again")
    assert (closed.code, [each in closed.err for each in said]) == (1, [True, True]), closed
    again = made.ask("erase", "N1", "--json")
    assert (again.json["keys_destroyed"], len(made.events("erased"))) == (0, 1)
