"""Sealing, verifying, exporting and expiring by the command line, over what a run of the job wrote."""

import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest
import yaml

from audit.files.audit import Audit
from tests.audit.containers import schema_of, write
from tests.audit.world import ROOT, FlightsAudit, records
from tests.docs.blocks import blocks_of
from tests.pipeline.commands.commands import Ran, halflife


class SealedRun(NamedTuple):
    """A copy of the audit of the run, sealed with a key, and the files of the key."""

    flown: FlightsAudit
    audit: Path
    key: Path

    def ask(self, *words: object) -> Ran:
        return halflife("audit", *words, "--job", self.flown.job, "--set", f"sinks.audit={self.audit}")

    def copied(self, folder: Path) -> "SealedRun":
        return self._replace(audit=Path(shutil.copytree(self.audit, folder / "copy")))

    def verified(self, *words: object) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("verify", "--json", "--key", f"{self.key}.pub", *words).json
        return found


@pytest.fixture(scope="module")
def sealed(flown: FlightsAudit, tmp_path_factory: pytest.TempPathFactory) -> SealedRun:
    folder = tmp_path_factory.mktemp("sealed")
    made = SealedRun(flown, Path(shutil.copytree(flown.audit, folder / "audit")), folder / "audit.key")
    assert halflife("audit", "key", "--out", made.key).code == 0
    done = made.ask("seal", "--set", f"audit.key={made.key}", "--json")
    assert (done.code, [each["kind"] for each in done.json["sealed"]]) == (0, ["receipts", "models"]), done.err
    return made


def finding_lists(found: dict[str, Any]) -> dict[str, Any]:
    names = ("altered", "added", "removed", "reordered", "mismatches", "contradictions", "broken_files")
    return {name: found[name] for name in names if found[name]}


def test_the_key_is_for_its_owner_only_and_never_replaced(sealed: SealedRun) -> None:
    assert stat.S_IMODE(sealed.key.stat().st_mode) == 0o600
    before = sealed.key.read_bytes()
    again = halflife("audit", "key", "--out", sealed.key)
    assert (again.code, "is there already; expected: a new file" in again.err) == (1, True)
    assert sealed.key.read_bytes() == before


def test_a_sealed_run_verifies_to_the_last_score(sealed: SealedRun) -> None:
    found = sealed.verified()
    assert finding_lists(found) == {}
    assert (found["receipts"], found["verified"]) == (len(sealed.flown.receipts),) * 2
    assert (found["unsealed"], found["duplicated"], found["signature"]) == (0, 0, "signed")


def test_questions_get_the_same_answers_before_and_after_sealing(sealed: SealedRun) -> None:
    words = ("score", sealed.flown.receipts[3]["score_id"], "--no_verify", "--json")
    before, after = halflife("audit", *words, "--job", sealed.flown.job).json, sealed.ask(*words).json
    assert before["receipt"] == after["receipt"]
    opened, loose = Audit(str(sealed.audit)), Audit(str(sealed.flown.audit))
    for name in ("score_id", "event_id", "subject"):
        for value in sorted({row[name] for row in sealed.flown.receipts if row[name]})[:60]:
            found = [sorted(each.datum for each in one.find(name, value)) for one in (opened, loose)]
            assert found[0] == found[1] != []


def test_before_sealing_all_is_unsealed_and_verifies(flown: FlightsAudit) -> None:
    done = halflife("audit", "verify", "--json", "--job", flown.job)
    assert (done.code, done.json["unsealed"], done.json["verified"]) == (0, *(len(flown.receipts),) * 2)
    assert done.json["segments"] == 0


def test_a_sample_scores_so_many_again(sealed: SealedRun) -> None:
    assert [sealed.verified("--sample", n)["verified"] for n in (0, 5)] == [0, 5]


def _rewrite(audit: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    (path,) = (audit / "sealed").glob("00000001-*/receipts.avro")
    write(path, [change(row) for row in records(path.parent)], schema_of("Receipt"))


def test_a_changed_score_is_named_and_fails(sealed: SealedRun, tmp_path: Path) -> None:
    other, victim = sealed.copied(tmp_path), sealed.flown.receipts[7]["score_id"]
    _rewrite(other.audit, lambda row: row | {"score": row["score"] / 2} if row["score_id"] == victim else row)
    done = other.ask("verify", "--key", f"{sealed.key}.pub")
    assert done.code == 1
    (folder,) = (other.audit / "sealed").glob("00000001-*")
    assert f"altered: sealed/{folder.name}/receipts.avro: {victim}" in done.err


def test_a_score_changed_before_sealing_does_not_verify(sealed: SealedRun, tmp_path: Path) -> None:
    """What is signed is only that it was sealed so: the bundle still tells."""
    audit = tmp_path / "audit"
    rows = [row | ({"score": 0.123} if index == 4 else {}) for index, row in enumerate(sealed.flown.receipts)]
    write(audit / "receipts" / "receipts-r.avro", rows, schema_of("Receipt"))
    other = sealed._replace(audit=audit)
    assert other.ask("seal", "--set", f"audit.key={sealed.key}").code == 0
    found = other.verified()
    assert finding_lists(found) == {"mismatches": [rows[4]["score_id"]]}
    assert found["verified"] == len(rows) - 1


def test_duplicates_are_counted_and_contradictions_are_named(sealed: SealedRun, tmp_path: Path) -> None:
    other = sealed.copied(tmp_path)
    one, two = [row for row in sealed.flown.receipts if not row["late"]][:2]
    write(other.audit / "receipts" / "receipts-x.avro", [one, two | {"decision": "late?"}], schema_of("Receipt"))
    found = other.verified()
    assert (found["duplicated"], found["unsealed"], found["contradictions"]) == (2, 2, [two["score_id"]])


def test_a_cut_off_end_is_found_by_a_kept_checkpoint(sealed: SealedRun, tmp_path: Path) -> None:
    other = sealed.copied(tmp_path)
    kept = shutil.copy(other.audit / "checkpoints" / "00000002", tmp_path / "kept")
    (other.audit / "checkpoints" / "00000002").unlink()
    shutil.rmtree(next((other.audit / "sealed").glob("00000002-*")))
    assert finding_lists(other.verified()) == {}
    assert other.verified("--checkpoint", kept)["removed"] == ["checkpoints/00000002"]


def test_broken_files_are_named_and_the_rest_is_sealed(sealed: SealedRun, tmp_path: Path) -> None:
    other = sealed.copied(tmp_path)
    write(other.audit / "receipts" / "receipts-a.avro", sealed.flown.receipts[:3], schema_of("Receipt"))
    (other.audit / "receipts" / "receipts-b.avro").write_bytes(b"Obj\x01 and no more")
    done = other.ask("seal", "--set", f"audit.key={sealed.key}")
    assert (done.code, "receipts/receipts-b.avro is not sealed: not an Avro container file" in done.err) == (1, True)
    found = other.verified()
    assert [name.partition(":")[0] for name in found["broken_files"]] == ["receipts/receipts-b.avro"]
    assert (found["duplicated"], found["unsealed"]) == (3, 0)


OFFLINE = """
import socket, sys, os

def refuse(*_args, **_kwargs):
    raise AssertionError("the network was asked for")

socket.socket.connect = refuse
socket.create_connection = refuse
from pipeline.verbs import main
code = main(sys.argv[1:])
assert "apache_beam" not in sys.modules
sys.exit(code)
"""


def offline(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a verb in an empty folder, where nothing of the job is and nothing answers."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    command = [sys.executable, "-c", OFFLINE, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def exported(sealed: SealedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported decision, its bundle and the public key, and nothing else."""
    folder = tmp_path_factory.mktemp("exported")
    receipt = sealed.flown.receipts[3]
    done = sealed.ask("export", receipt["score_id"], "--out", folder / "decision.json")
    assert done.code == 0, done.err
    shutil.copytree(sealed.flown.folder / "store" / "delays" / "versions" / receipt["version"], folder / "bundle")
    shutil.copy(f"{sealed.key}.pub", folder / "key.pub")
    return folder


def checked(folder: Path, *words: object) -> Ran:
    return halflife("audit", "check", folder / "decision.json", "--json", *words)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: shutil.rmtree(folder), "cannot be loaded: "),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be loaded: "),
        (lambda folder: (folder / "manifest.json").unlink(), "cannot be loaded: "),
    ],
    ids=["gone", "no manifest that can be read", "no manifest"],
)
def test_a_bundle_that_cannot_be_loaded_here_leaves_the_decision_unproven_with_all_that_is_known(
    exported: Path, tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    bundle = Path(shutil.copytree(exported / "bundle", tmp_path / "bundle"))
    spoil(bundle)
    done = checked(exported, "--bundle", bundle, "--key", exported / "key.pub")
    assert (done.code, done.json["verdict"], done.json["rescored"]) == (1, "unproven", None)
    assert why in done.json["why"]
    assert done.json["signed_by"] == (exported / "key.pub").read_text("utf-8").strip()


def test_a_decision_is_proven_offline_without_audit_or_store(exported: Path, sealed: SealedRun) -> None:
    done = offline(exported, "audit", "check", "decision.json", "--bundle", "bundle", "--key", "key.pub", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["verdict"], said["score"]) == ("proven", sealed.flown.receipts[3]["score"])
    assert said["rescored"] == pytest.approx(said["score"], abs=1e-6)


def test_the_proof_is_small(exported: Path, sealed: SealedRun) -> None:
    stream = exported / "one.avro"
    receipt = sealed.flown.receipts[3]
    with stream.open("wb") as out:
        fastavro.schemaless_writer(out, schema_of("Receipt"), receipt)
    assert (exported / "decision.json").stat().st_size - stream.stat().st_size < 4096


def test_without_a_key_nothing_is_proven(exported: Path) -> None:
    done = checked(exported, "--bundle", exported / "bundle")
    assert (done.code, done.json["verdict"]) == (1, "unproven")
    other = exported / "other.key"
    halflife("audit", "key", "--out", other, "--name", "halflife/audit")
    done = checked(exported, "--bundle", exported / "bundle", "--key", f"{other}.pub")
    assert (done.code, done.json["verdict"], done.json["why"]) == (1, "unproven", "no given key signed it")


def test_a_key_inside_the_file_proves_nothing(exported: Path, tmp_path: Path) -> None:
    said = json.loads((exported / "decision.json").read_bytes())
    (tmp_path / "decision.json").write_text(json.dumps(said | {"key": (exported / "key.pub").read_text()}))
    done = checked(tmp_path, "--bundle", exported / "bundle")
    assert (done.code, "it has checkpoint" in done.err) == (1, True)


def test_a_receipt_with_a_changed_score_is_refuted(exported: Path, tmp_path: Path) -> None:
    import base64
    import io

    said = json.loads((exported / "decision.json").read_bytes())
    schema = schema_of("Receipt")
    receipt = fastavro.schemaless_reader(io.BytesIO(base64.b64decode(said["receipt"])), schema, None)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, receipt | {"score": 0.99})  # type: ignore[operator]
    changed = said | {"receipt": base64.b64encode(stream.getvalue()).decode()}
    (tmp_path / "decision.json").write_text(json.dumps(changed))
    done = checked(tmp_path, "--bundle", exported / "bundle", "--key", exported / "key.pub")
    assert (done.code, done.json["verdict"]) == (1, "refuted")
    assert done.json["why"] == "the receipt is not the one that stood at this index of the segment"


def test_another_bundle_refutes(exported: Path, sealed: SealedRun) -> None:
    versions = sealed.flown.folder / "store" / "delays" / "versions"
    other = next(each for each in ("v1", "v2") if each != sealed.flown.receipts[3]["version"])
    done = checked(exported, "--bundle", versions / other, "--key", exported / "key.pub")
    assert (done.code, done.json["verdict"]) == (1, "refuted")
    assert done.json["why"].startswith("the bundle has the digest")


def test_no_flipped_byte_of_the_file_is_proven(exported: Path, tmp_path: Path) -> None:
    from audit.sealing.proofs import UnusableProof, read_decision
    from pipeline.commands.audit.proof.keys import public_keys

    intact, keys = (exported / "decision.json").read_bytes(), public_keys([str(exported / "key.pub")])
    assert read_decision(intact).signed_by(keys) is not None
    for at in range(0, len(intact) - 1, 7):
        changed = intact[:at] + bytes([intact[at] ^ 1]) + intact[at + 1 :]
        try:
            found = read_decision(changed)
        except UnusableProof:
            continue
        assert found.signed_by(keys) is None or found.receipt == read_decision(intact).receipt, at


def test_what_is_not_sealed_is_not_exported(flown: FlightsAudit, tmp_path: Path) -> None:
    done = halflife("audit", "export", flown.receipts[0]["score_id"], "--out", tmp_path / "x", "--job", flown.job)
    assert (done.code, "is not sealed yet, so nothing proves it; next: halflife audit seal" in done.err) == (1, True)


def test_expiry_keeps_the_roots_and_says_so(sealed: SealedRun, tmp_path: Path) -> None:
    other = sealed.copied(tmp_path)
    soon = other.ask("expire", "--before", "now")
    assert (soon.code, "at the latest (audit.keep_at_least)" in soon.err) == (1, True)
    done = other.ask("expire", "--before", "now", "--set", "audit.keep_at_least=0s", "--json", "--by", "carol")
    assert (done.code, [each["segment"] for each in done.json["expired"]]) == (0, [1]), done.err
    assert not list((other.audit / "sealed").glob("00000001-*/receipts.avro"))
    found = other.verified()
    assert finding_lists(found) == {}
    assert (found["expired"], found["receipts"]) == (len(sealed.flown.receipts), 0)
    (event,) = (each for each in records(other.audit / "models") if each["kind"] == "expired")
    assert (event["actor"], json.loads(event["evidence"])["segment"]) == ("carol", 1)
    accesses = sealed.flown.store.accesses().entries
    assert [(each.actor, each.detail["segment"]) for each in accesses if each.action == "expired"] == [("carol", 1)]


def test_a_key_in_the_spec_is_refused_and_not_shown(sealed: SealedRun) -> None:
    secret = sealed.key.read_text().strip()
    done = sealed.ask("seal", "--set", f"audit.key={secret}")
    assert done.code == 2
    assert secret.rpartition("+")[2] not in done.err
    assert "audit.key" in done.err


def test_a_key_in_a_variable_signs(sealed: SealedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sealed._replace(audit=tmp_path / "audit")
    write(other.audit / "receipts" / "receipts-a.avro", sealed.flown.receipts[:3], schema_of("Receipt"))
    unset = other.ask("seal", "--set", "audit.key=${AUDIT_KEY}")
    assert (unset.code, "the variable is not set" in unset.err) == (2, True)
    monkeypatch.setenv("AUDIT_KEY", sealed.key.read_text())
    assert other.ask("seal", "--set", "audit.key=${AUDIT_KEY}").code == 0
    assert other.verified("--sample", 0)["signature"] == "signed"


def test_the_commands_of_the_page_succeed(flown: FlightsAudit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in a folder with the job and the bundle of the version that scored."""
    monkeypatch.chdir(tmp_path)
    receipt = flown.receipts[3]
    spec = yaml.safe_load(flown.job.read_text(encoding="utf-8"))
    spec["sinks"]["audit"] = str(shutil.copytree(flown.audit, tmp_path / "audit"))
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    shutil.copytree(flown.folder / "store" / "delays" / "versions" / receipt["version"], tmp_path / "bundle")
    blocks = blocks_of(ROOT / "docs" / "audit-proof.md")
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.text.splitlines()]
    asked = [[receipt["score_id"] if word == "SCORE_ID" else word for word in line[1:]] for line in lines]
    assert [words[1] for words in asked] == ["key", "seal", "verify", "export", "check"]
    assert [(words, done.err) for words in asked if (done := halflife(*words)).code] == []


def test_following_seals_what_comes_until_it_is_interrupted(sealed: SealedRun, tmp_path: Path) -> None:
    """The process says each segment on a line."""
    audit, rows = tmp_path / "audit", sealed.flown.receipts
    write(audit / "receipts" / "receipts-a.avro", rows[:3], schema_of("Receipt"))
    words = ["audit", "seal", "--follow", "--every", "10ms", "--max_age", "0s", "--json", "--audit", str(audit)]
    command = [sys.executable, "-m", "pipeline.cli", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        later = write(tmp_path / "receipts-b.avro", rows[3:8], schema_of("Receipt"))
        later.rename(audit / "receipts" / later.name)
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert (process.wait(60), "Traceback" in process.communicate()[1]) == (130, False)
    assert [each["sealed"][0]["records"] for each in (first, second)] == [3, 5]
    assert len(Audit(str(audit)).find("event_id", rows[4]["event_id"])) >= 1
