"""`halflife rollout` on a job whose records of quality are written by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.files.audit import Audit
from models.store.store import ModelStore
from schemas.times import parse_time_us
from schemas.validation import schema_of
from tests.gates.written import row, write
from tests.models import broken
from tests.models.bundle_folders import COLUMNS
from tests.pipeline.commands.commands import Ran, halflife
from tests.pipeline.commands.jobs import EVENT

POLICY: dict[str, Any] = {
    "rollout": "weekly", "version": "v2", "margin": 0.05, "minimum": {"n": 500}, "labels": {"wait": "3d"},
    "steps": [{"share": "5%"}, {"share": "100%"}],
}  # fmt: skip


class Job:
    """A job with the champion v1 and a version v2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "events.json").write_text("".join(json.dumps({**EVENT, "id": f"e{n}"}) + "\n" for n in range(20)))
        for version in ("v1", "v2"):
            broken.good(folder / version)
            manifest = folder / version / "manifest.json"
            manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": version}))
            self.store.publish_bundle(folder / version)
        self.store.append_release(champion="v1", effective_from_us=0, by="ann")
        self.stated: dict[str, Any] = {
            "job": "late",
            "events": {"uri": str(folder / "events.json"), "format": "json", "event_id": "id", "event_time": "t",
                       "columns": COLUMNS},
            "features": list(COLUMNS),
            "model": {"name": "late", "store": str(folder / "store")},
            "sinks": {name: str(folder / name) for name in ("scores", "audit", "quality")},
        }  # fmt: skip

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.folder / "store"), "late")

    def measure(self, first: int, last: int, value: float) -> None:
        rows = [row(day, value=value + 0.01 * (-1) ** day) for day in range(first, last)]
        write(self.folder / "quality", rows, f"quality-{first}.avro")

    def __call__(self, *words: str, policy: Any = POLICY) -> Ran:
        job, path = self.folder / "job.yaml", self.folder / "policy.yaml"
        job.write_text(yaml.safe_dump(self.stated))
        path.write_text(policy if isinstance(policy, str) else yaml.safe_dump(policy))
        return halflife("rollout", "--policy", path, "--job", job, *words)

    def events(self) -> list[dict[str, Any]]:
        found = sorted(Audit(str(self.folder / "audit")).model_events(), key=lambda each: each["at"])
        return [dict(each) for each in found if each["kind"] == "gate"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_a_rollout_from_its_first_step_to_the_champion(job: Job) -> None:
    first = job("--from", "2019-01-01", "--json")
    assert (first.code, first.err) == (0, "")
    assert (first.json["verdict"], first.json["written"]["challengers"]) == (
        "promote",
        [{"version": "v2", "share": 0.05}],
    )
    job.measure(0, 10, -0.3)
    shown = job("--status")
    assert (shown.code, "difference  error -0.3 (" in shown.out, len(job.events())) == (0, True, 1)
    done = job("--follow", "--from", "2019-01-11", "--json")
    assert [json.loads(line)["over"] for line in done.out.splitlines()] == [None, "v2 is the champion"]
    assert [each["reason"].split(": ")[1] for each in job.events()] == ["begin", "promote"]
    assert [(each["version"], each["release"]) for each in job.events()] == [("v2", 2), ("v2", 3)]
    assert json.loads(job.events()[1]["evidence"])["n"] == 1000
    told = halflife("audit", "version", "v2", "--job", job.folder / "job.yaml", "--json").json["gates"]
    assert [(each["release"], each["evidence"]["decision"]) for each in told] == [(2, "begin"), (3, "promote")]
    assert [each.action for each in job.store.accesses().entries] == ["rollout", "rollout", "accessed"]


def test_a_stop_is_told_to_people(job: Job) -> None:
    job("--from", "2019-01-01", "--no_check")
    job.measure(0, 10, 0.5)
    stopped = job("--from", "2019-01-11", "--by", "gate")
    assert "worse than the champion by more than 0: error +0.5" in stopped.out
    last = job.store.releases()[-1]
    assert (last.champion, last.challengers, last.by) == ("v1", (), "gate")
    assert last.effective_from_us == parse_time_us("2019-01-11")


def test_pause_resume_and_approval_are_releases(job: Job) -> None:
    policy = {**POLICY, "approve": "last"}
    job("--from", "2019-01-01", "--no_check", policy=policy)
    job.measure(0, 10, -0.3)
    assert job("--json", policy=policy).json["reason"] == "approval"
    assert job("--pause", "--json", policy=policy).json["written"]["sequence"] == 3
    assert job("--approve", "--json", policy=policy).json["reason"] == "paused"
    job("--resume", policy=policy)
    assert job("--approve", "--json", policy=policy).json["written"]["champion"] == "v2"
    decisions = [json.loads(each["evidence"])["decision"] for each in job.events()]
    assert decisions == ["begin", "hold", "pause", "hold", "resume", "promote"]


def test_a_version_that_is_refused_holds(job: Job) -> None:
    golden = next((job.folder / "store" / "late" / "versions" / "v2").glob("golden*"))
    golden.write_bytes(b"altered")
    held = job("--json")
    assert (held.code, held.json["verdict"], held.json["reason"]) == (0, "hold", "unusable")
    assert "version 'v2': wrong_digest" in held.json["why"]
    assert len(job.store.releases()) == 1


@pytest.mark.parametrize(
    ("sinks", "line"),
    [
        ({"audit": "a"}, "sinks.quality: missing; expected: a folder"),
        ({"quality": "kafka://h:9092/q", "audit": "a"}, "sinks.quality: 'kafka://h:9092/q' is not allowed"),
        ({"quality": "q", "audit": "kafka://h:9092/a"}, "sinks.audit: 'kafka://h:9092/a' is not allowed"),
        ({"quality": "q"}, "sinks.audit: missing"),
    ],
)
def test_sinks_that_cannot_be_read_are_bad_usage(job: Job, sinks: dict[str, str], line: str) -> None:
    job.stated["sinks"] = {"scores": "s", **sinks}
    ran = job()
    assert (ran.code, ran.err.startswith(f"halflife: {line}"), ran.err.count("\n")) == (2, True, 1), ran.err


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ("", "--policy: '"),
        ("steps: [", "--policy: '"),
        ({**POLICY, "steps": [{"share": "5%"}]}, "steps[0].share: '5%' is not allowed; expected: 100%, the last step"),
        ({**POLICY, "aprove": "last"}, "aprove: unknown key; allowed: approve"),
        ({"rollout": "x", "steps": POLICY["steps"]}, "version: missing; expected: a version's name here, or --version"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_bad_usage(job: Job, policy: Any, line: str) -> None:
    ran = job(policy=policy)
    assert (ran.code, ran.err.startswith(f"halflife: {line}")) == (2, True), ran.err
    assert "expected: " in ran.err or "allowed: " in ran.err


def test_a_job_is_needed(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({**schema_of("rollout")["examples"][0], "version": "v2"}))
    ran = halflife("rollout", "--policy", tmp_path / "policy.yaml", "--store", tmp_path, "--model", "late")
    assert (ran.code, ran.err.startswith("halflife: --job: missing; expected: FILE")) == (2, True)
