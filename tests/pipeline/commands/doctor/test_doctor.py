"""`halflife doctor`: errors of a job are reported before it runs, one line for each check, and nothing is left
behind."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.preflight import trial
from pipeline.preflight.environment import check_environment
from runners.direct_preflight import MIB_PER_MILLION_EVENTS, START_MIB
from tests.models import broken
from tests.models.bundle_folders import INPUTS, document, write_bundle
from tests.pipeline.commands.commands import halflife
from tests.pipeline.commands.jobs import Patient

WITHOUT_PROFILE = {"reference profile of v1": "warn"}


def listed(folder: Path) -> list[str]:
    """All but the access log, in which an examination is entered."""
    return sorted(str(path) for path in folder.rglob("*") if "access" not in path.parts)


def test_sound_job_has_no_failure_and_leaves_nothing_behind(patient: Patient) -> None:
    patient.words("direct")
    before = listed(patient.folder)
    examined = patient.examined()
    assert (examined.ran.code, examined.ran.json["failed"], examined.bad()) == (0, 0, WITHOUT_PROFILE)
    assert "v1" in " ".join(examined.checks)
    assert "100 events" in examined.said("memory for the input")
    assert listed(patient.folder) == before


def test_people_get_one_line_a_check_and_the_counts(patient: Patient) -> None:
    ran = halflife(*patient.words("direct"))
    *lines, counts = ran.out.splitlines()
    assert {line.split("  ")[0] for line in lines} == {"ok", "warn"}
    assert counts == f"{len(lines) - 1} ok, 1 warn, 0 fail, 0 not checked"


def test_wrong_spec_exits_2_with_its_path(patient: Patient) -> None:
    ran = halflife(*patient.words("direct", "--set", "model.pol=1s"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "model.pol: unknown key" in ran.err


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("events={columns: null, uri: @, format: json, event_id: id, event_time: when}", "events.columns"),
        ("features[0]=dely", "features[0]: 'dely' is not allowed; expected: one of the event columns"),
        ("sinks.scores=kafka://nowhere/scores", "sinks.scores: 'kafka://nowhere/scores' is not allowed"),
    ],
    ids=["columns", "feature", "sink"],
)
def test_spec_with_wrong_locations_exits_2_with_the_spec_path(patient: Patient, setting: str, says: str) -> None:
    ran = halflife(*patient.words("direct", "--set", setting.replace("@", str(patient.folder / "events.json"))))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert says in ran.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--runner=flnk"], "--runner: 'flnk' is not known; allowed: direct, flink, dataflow; did you mean flink?"),
        (["--runner=SparkRunner"], "allowed: direct, flink, dataflow"),
        (["--job=x"], "--runner: missing; allowed: direct, flink, dataflow"),
        (["--runner=dataflow", "--num_workes=2"], "'--num_workes=2' is not known"),
        (["--runner=direct", "--summary=x"], "'--summary=x' is not known"),
    ],
    ids=["runner", "unexamined", "none", "option", "summary"],
)  # fmt: skip
def test_wrong_option_exits_2_with_its_name(words: list[str], says: str) -> None:
    ran = halflife("doctor", *words)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err.splitlines()[-1]


def test_input_that_is_not_there_fails_and_the_rest_is_still_examined(patient: Patient) -> None:
    (patient.folder / "events.json").unlink()
    examined = patient.examined()
    assert examined.ran.code == 1
    assert examined.bad() == {
        "events.uri": "fail", "sinks": "not checked", "features": "not checked", "memory for the input": "not checked",
        **WITHOUT_PROFILE,
    }  # fmt: skip
    assert "no file matches" in examined.said("events.uri")


def test_input_that_is_nothing_but_damage_fails(patient: Patient) -> None:
    (patient.folder / "events.json").write_bytes(b"Obj\x01 no container")
    examined = patient.examined("--set", "events.format=avro")
    assert (examined.ran.code, examined.verdict("events.uri"), examined.verdict("events")) == (1, "warn", "fail")


def test_sink_below_a_file_fails_with_its_path(patient: Patient) -> None:
    (patient.folder / "file").write_text("")
    examined = patient.examined("--set", f"sinks.scores={patient.folder}/file/scores")
    assert (examined.ran.code, examined.verdict("sinks.scores")) == (1, "fail")
    assert examined.verdict("sinks.drift") == "ok"


def tampered(patient: Patient) -> None:
    (patient.version / "golden.jsonl").write_text("changed")


def torn(patient: Patient) -> None:
    (patient.version / "golden.jsonl").unlink()


@pytest.mark.parametrize(
    ("break_it", "words", "reason"),
    [
        (tampered, [], "wrong_digest"),
        (torn, [], "incomplete"),
        (None, ["--set", "features=[delay]", "--set", "events.columns={delay: number}"], "wrong_inputs"),
        (None, ["--set", "model.max_bytes=10"], "too_large"),
        (None, ["--set", "model.admission_timeout=1us"], "timed_out"),
    ],
    ids=["tampered", "torn", "columns", "size", "time"],
)
def test_version_that_would_be_refused_fails_with_its_reason_and_what_to_change(
    patient: Patient, break_it: Callable[[Patient], None] | None, words: list[str], reason: str
) -> None:
    if break_it is not None:
        break_it(patient)
    examined = patient.examined(*words)
    assert (examined.ran.code, examined.verdict("version v1")) == (1, "fail")
    assert f"champion of release 1; {reason}: " in examined.said("version v1")
    assert examined.checks["version v1"]["change"]


def test_unsigned_version_fails_where_the_job_trusts_a_key(patient: Patient, tmp_path: Path) -> None:
    key = broken.new_key(tmp_path / "trusted")
    examined = patient.examined("--trusted_key", str(key.public))
    assert "bad_signature: " in examined.said("version v1")


def test_timeline_without_a_release_fails_a_bounded_job(tmp_path: Path) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    patient.publish(release=False)
    examined = patient.examined()
    assert (examined.ran.code, examined.verdict("timeline")) == (1, "fail")
    assert "halflife models release" in examined.said("timeline")


def test_release_that_cannot_be_read_is_named(patient: Patient) -> None:
    (patient.folder / "store" / "late" / "releases" / "00000002.json").write_text("{}")
    ran = halflife(*patient.words("direct"))
    assert ran.code == 0
    assert "release 2 cannot be read" in ran.out


def test_store_that_is_no_folder_is_a_wrong_spec(patient: Patient) -> None:
    ran = halflife(*patient.words("direct", "--set", f"model.store={patient.folder}/events.json"))
    assert (ran.code, "model.store" in ran.err) == (2, True)


def test_features_that_no_version_reads_are_named(patient: Patient) -> None:
    columns = '{"delay": "number", "distance": "integer", "weekend": "boolean", "carrier": "string", "x": "number"}'
    examined = patient.examined("--set", f"events.columns={columns}", "--set", "features[1]=x")
    assert (examined.verdict("features"), "x: computed" in examined.said("features")) == ("warn", True)


class Dies:
    """Unpickled, it ends its process as a crash in a library's own code would."""

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return os._exit, (9,)


def deadly(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(Dies()))
    write_bundle(folder, document("sklearn", inputs=INPUTS[:1], output={"kind": "regression"}))


def test_model_that_kills_its_process_costs_a_finding(tmp_path: Path) -> None:
    patient = Patient(tmp_path)
    patient.feed()
    patient.publish(deadly)
    examined = patient.examined("--allow_pickle")
    assert examined.ran.code == 1
    assert "died: the process that tried it ended with exit code 9" in examined.said("version v1")
    assert examined.verdict("worker memory") == "not checked"


def test_version_whose_check_does_not_end_has_no_verdict(patient: Patient) -> None:
    asked = trial.Question(str(patient.folder / "store"), "late", "v1", None, False, 10**9, None)
    assert trial.try_version(asked, seconds=0.0)[:2] == (False, "no_answer")
    found = trial.try_version(asked)
    assert (found.admitted, (found.growth_bytes or 0) > 0) == (True, True)


def test_packages_are_held_to_the_lock(tmp_path: Path) -> None:
    assert [finding.verdict for finding in check_environment((tmp_path,))] == ["ok", "not checked"]
    (tmp_path / "requirements.lock").write_text("apache-beam==2.1.0\nnumpy==0.1  # too old\nnot-installed==1\n")
    python, beam, rest = check_environment((tmp_path,))
    assert (python.verdict, beam.verdict, rest.verdict) == ("ok", "fail", "warn")
    assert "locked is 2.1.0" in beam.found
    assert "numpy" in rest.found
    assert "(locked: 0.1)" in rest.found


def test_several_workers_on_direct_runner_are_a_warning(patient: Patient) -> None:
    examined = patient.examined("--direct_running_mode=multi_threading", "--direct_num_workers=2")
    assert (examined.ran.code, examined.verdict("--direct_running_mode")) == (0, "warn")


def test_json_has_the_runner_and_each_check_whole(patient: Patient) -> None:
    document = patient.examined().ran.json
    assert (document["runner"], document["failed"]) == ("DirectRunner", 0)
    assert {tuple(check) for check in document["checks"]} == {("check", "verdict", "found", "change")}
    assert json.dumps(document).count(str(patient.folder)) > 3


def test_estimate_of_memory_is_near_what_the_benchmark_measured(root: Path) -> None:
    results = (root / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    row = next(line for line in results.splitlines() if line.startswith("| this job") and line.count("|") > 10)
    _, _, _, events, *_, peak, growth, _ = (cell.strip() for cell in row.split("|"))
    assert "months" in growth
    estimated = START_MIB + MIB_PER_MILLION_EVENTS * int(events.replace(",", "")) / 1e6
    assert 0.8 <= estimated / int(peak.replace(",", "")) <= 3  # else a needless warning, or a run that dies
