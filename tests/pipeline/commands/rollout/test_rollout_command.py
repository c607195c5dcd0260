"""`halflife rollout` on a job whose records of quality are written by hand."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ulid import ULID

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

LAST_EVENT = "2019-03-01T00:00:00Z"


class Job:
    """A job with the champion v1 and a version v2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "events.json").write_text(
            "".join(json.dumps({**EVENT, "id": f"e{n}", "t": LAST_EVENT}) + "\n" for n in range(20))
        )
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
            "labels": {"uri": str(folder / "labels.json"), "format": "json", "event_id": "id", "event_time": "known",
                       "column": "y", "horizon": "10d"},
            "sinks": {name: str(folder / name) for name in ("scores", "audit", "quality")},
        }  # fmt: skip

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.folder / "store"), "late")

    def measure(self, first: int, last: int, value: float, **fields: Any) -> None:
        rows = [row(day, value=value + 0.01 * (-1) ** day, **fields) for day in range(first, last)]
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


def test_a_hook_is_told_of_a_stop_and_its_failure_stops_nothing(job: Job) -> None:
    told = job.folder / "told"
    copy = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read()); raise SystemExit(1)"
    job.stated["retraining"] = {"hook": {"command": [sys.executable, "-c", copy, str(told)]}}
    job("--from", "2019-01-01", "--no_check")
    assert not told.exists()
    job.measure(0, 10, 0.5)
    ran = job("--from", "2019-01-11")
    assert (ran.code, "failed for stop" in ran.err) == (0, True), ran.err
    document = json.loads(told.read_text())
    assert [document[key] for key in ("about", "version", "release")] == ["stop", "v2", 3]
    noted = [each for each in Audit(str(job.folder / "audit")).model_events() if each["kind"] == "notified"]
    assert [json.loads(each["evidence"])["failures"] for each in noted] == [1]


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


def test_a_guardrail_that_is_never_measured_holds_and_is_named(job: Job) -> None:
    policy = {**POLICY, "guardrails": [{"metric": "latency_difference", "margin": -5000}]}
    job("--from", "2019-01-01", "--no_check", policy=policy)
    job.measure(0, 10, -0.3)
    held = job("--status", policy=policy)
    assert "guardrail   latency_difference is not measured in this step: no record compares v2 with v1" in held.out
    found = job("--from", "2019-01-11", "--json", policy=policy).json
    assert (found["verdict"], found["reason"], found["written"]) == ("hold", "unmeasured", None)
    assert "next: a job that writes records of such pairs, or a policy with another metric" in found["why"]
    assert found["evidence"]["guardrails"][0]["unmeasured"] in found["why"]


def test_guardrails_that_are_measured_are_shown(job: Job) -> None:
    policy = {**POLICY, "guardrails": [{"metric": "difference", "margin": 0.2}]}
    job("--from", "2019-01-01", "--no_check", policy=policy)
    job.measure(0, 10, -0.3)
    write(job.folder / "quality", [row(day, "difference", value=0.01 * day) for day in range(10)], "quality-b.avro")
    assert "guardrail   difference +0.045 (" in job("--status", policy=policy).out


def test_an_earlier_time_than_that_of_the_last_release_is_moved_and_said(job: Job) -> None:
    job("--from", "2019-01-05", "--no_check")
    job.measure(4, 14, 0.5)
    stopped = job("--from", "2019-01-02")
    assert "release 3 serves from 2019-01-05T00:00:00Z, not 2019-01-02T00:00:00Z: before that release 2" in stopped.err
    assert "released    3, from 2019-01-05" in stopped.out


def test_a_release_after_all_events_is_remarked(job: Job) -> None:
    assert "all events in 1 file(s) of the job lie before it" in job("--no_check").err
    assert "lie before it" not in job("--status").err


TWO_SHARES = {**POLICY, "steps": [{"share": "5%"}, {"share": "25%"}, {"share": "100%"}]}


def test_of_two_steps_of_one_role_the_later_one_needs_records_of_its_own(job: Job) -> None:
    """Over the past, whose records of the first share are there when the second begins, at the same --from."""
    job("--from", "2019-01-01", "--no_check", policy=TWO_SHARES)
    job.measure(0, 10, -0.3, run=str(ULID()).lower())
    assert job("--from", "2019-01-01", "--json", policy=TWO_SHARES).json["written"]["challengers"][0]["share"] == 0.25
    looked = job("--from", "2019-01-01", "--json", policy=TWO_SHARES).json
    assert (looked["verdict"], looked["reason"], looked["step"]) == ("hold", "waits", 2), looked
    assert "as challenger until 2019-01-11T00:00:00Z were there when this step began" in looked["why"]
    job.measure(0, 10, -0.3, n=101, run=str(ULID()).lower())
    assert job("--from", "2019-01-01", "--json", policy=TWO_SHARES).json["written"]["champion"] == "v2"


@pytest.mark.parametrize(("begins", "step"), [("2019-01-04", 2), ("2019-01-11", 3)])
def test_windows_of_one_run_are_of_the_step_that_they_come_after(job: Job, begins: str, step: int) -> None:
    """A stream, whose run goes on: those after the records that were there are of the second share."""
    run = str(ULID()).lower()
    job("--from", "2019-01-01", "--no_check", policy=TWO_SHARES)
    job.measure(0, 10, -0.3, run=run)
    job("--from", begins, policy=TWO_SHARES)
    assert job("--status", "--json", policy=TWO_SHARES).json["reason"] == "waits"
    job.measure(10, 12 if step == 2 else 16, -0.3, run=run)
    job("--from", "2019-02-01", policy=TWO_SHARES)
    assert job("--status", "--json", policy=TWO_SHARES).json["step"] == step


def test_a_pause_serves_from_the_time_of_the_release_before_and_resuming_is_no_pause(job: Job) -> None:
    job("--from", "2019-01-05", "--no_check")
    assert "paused    by a person" in job("--pause", "--reason", "holidays").out
    resumed = job("--resume")
    assert ("by a person" in resumed.out, "paused" in resumed.out) == (True, False)
    assert {each.effective_from_us for each in job.store.releases()[1:]} == {parse_time_us("2019-01-05")}
    assert job.store.releases()[2].reason == "rollout weekly: pause: paused by a person: holidays"


@pytest.mark.parametrize("option", ["--pause", "--resume"])
@pytest.mark.parametrize("begun", [True, False])
def test_nothing_to_pause_is_refused_and_not_in_the_audit(job: Job, option: str, begun: bool) -> None:
    if begun:
        job("--from", "2019-01-01", "--no_check")
        job("--pause" if option == "--pause" else "--status")
    known = len(job.events()) if begun else 0
    ran = job(option)
    assert (ran.code, ran.out, f"there is nothing to {option[2:]}: " in ran.err) == (1, "", True)
    assert ((job.folder / "audit").exists(), len(job.events()) if begun else 0) == (begun, known)


def test_a_version_that_the_store_lacks_is_refused(job: Job) -> None:
    ran = job("--version", "v22")
    assert (ran.code, (job.folder / "audit").exists()) == (1, False)
    assert "version 'v22' is not in the store; expected: a version of late in " in ran.err
    assert "v1, v2; did you mean v2?" in ran.err


@pytest.mark.parametrize("every", ["0s", "999ms"])
def test_looks_are_a_second_apart_at_least(job: Job, every: str) -> None:
    ran = job("--follow", "--every", every)
    assert (ran.code, f"{every!r} is not allowed; expected: 1s or more" in ran.err) == (2, True)


def test_status_needs_no_audit(job: Job) -> None:
    del job.stated["sinks"]["audit"]
    assert (job("--status").code, job().code) == (0, 2)


def test_a_job_without_labels_is_told(job: Job) -> None:
    del job.stated["labels"]
    assert "the job states no labels, so it measures no error; expected: labels in the job" in job("--status").err
    unlabelled = {**POLICY, "metric": "difference"}
    assert "labels" not in job("--status", policy=unlabelled).err


def test_a_split_by_something_that_records_do_not_know_is_told(job: Job) -> None:
    said = "the policy splits on {}, and the job's records of quality know no events that depend on each other"
    for split_on in ("subject", "a"):
        assert said.format(split_on) in job("--status", policy={**POLICY, "split_on": split_on}).err
    job.stated["events"]["subject"] = "a"
    assert [job("--status", policy={**POLICY, "split_on": each}).err for each in ("subject", "a", "event_id")] == [
        ""
    ] * 3
    assert "but those of one a: intervals may be too short" in job("--status", policy={**POLICY, "split_on": "b"}).err


def test_a_folder_of_records_that_does_not_exist_is_refused(job: Job) -> None:
    assert job("--from", "2019-01-01", "--no_check").code == 0  # a rollout begins before the job has measured
    for words in ((), ("--status",), ("--quality", str(job.folder / "none"))):
        ran = job(*words)
        assert (ran.code, ran.out, "no such folder; expected: " in ran.err) == (1, "", True)


@pytest.mark.parametrize(
    ("model", "fields", "why"),
    [
        ("other", {}, "are of other, none of late"),
        ("late", {"version": "v3"}, "no record is of v2: they are of v3"),
        ("late", {"role": "shadow"}, "are of it as shadow, none as challenger; next: run the job"),
    ],
)
def test_records_of_something_else_are_said(job: Job, model: str, fields: dict[str, Any], why: str) -> None:
    job("--from", "2019-01-01", "--no_check")
    write(job.folder / "quality", [row(day, value=-0.3, **fields) for day in range(9)], "quality-0.avro", model)
    held = job("--json").json
    assert (held["reason"], why in held["why"]) == ("waits", True), held["why"]


def test_records_of_earlier_windows_or_of_another_kind_are_said(job: Job) -> None:
    job("--from", "2019-01-20", "--no_check")
    (job.folder / "quality").mkdir()
    assert "no file is in " in job("--status").out
    shown = job("--status", "--quality", str(job.folder / "audit")).out
    assert "file(s) in " in shown
    assert "has a record of quality: they hold records of 9 fields such as " in shown
    job.measure(0, 10, -0.3)
    assert "of a window from 2019-01-20T00:00:00Z on, when this step began: the last one ends" in job("--status").out
