"""`halflife models check`: every reason for which a bundle is refused, by a bundle that is broken in just that way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.admission.admission import REASONS
from models.bundles.signing import sign_folder
from tests.models import broken
from tests.models.broken import new_key
from tests.models.bundle_folders import write_bundle
from tests.models.loading.endless import looping_bundle
from tests.pipeline.commands.commands import Models, halflife

Build = Callable[[Path], None]

JOB = """
job: flights
events:
  uri: {input}
  format: json
  event_id: id
  event_time: t
  columns: {{delay: number, distance: integer, weekend: boolean, carrier: string}}
features: [delay, distance, weekend, carrier]
model: {{name: late, store: {store}, max_bytes: 10000000}}
"""

FIRST_FAULT: list[tuple[Build, str]] = [
    (broken.no_manifest, "incomplete"),
    (broken.missing_payload, "incomplete"),
    (broken.invalid_manifest, "invalid_manifest"),
    (broken.path_outside, "path_outside"),
    (broken.link_outside, "path_outside"),
    (broken.another_key, "bad_signature"),
    (broken.wrong_digest, "wrong_digest"),
    (broken.unknown_scorer, "unknown_scorer"),
    (broken.will_not_load, "will_not_load"),
    (broken.wrong_inputs, "wrong_inputs"),
    (broken.golden_mismatch, "golden_mismatch"),
    (broken.answers_nan, "bad_output"),
    (broken.huge_manifest, "too_large"),
    (broken.zip_bomb, "too_large"),
]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job that has the columns of the test bundles."""
    (tmp_path / "events.json").write_text("{}\n")
    (tmp_path / "job.yaml").write_text(JOB.format(input=tmp_path / "events.json", store=tmp_path / "store"))
    return tmp_path / "job.yaml"


def test_every_reason_has_a_broken_bundle() -> None:
    assert [*dict.fromkeys(reason for _, reason in FIRST_FAULT), "timed_out"] == list(REASONS)


def test_bundle_that_never_answers_is_refused_in_the_time_that_the_job_allows(tmp_path: Path, job: Path) -> None:
    write_bundle(tmp_path / "bundle", looping_bundle(tmp_path / "bundle", None))
    limit = ("--set", "model.admission_timeout=1s")
    ran = halflife("models", "check", tmp_path / "bundle", "--job", job, *limit, "--json")
    assert (ran.code, ran.json["admitted"], ran.json["reason"]) == (1, False, "timed_out")
    assert "took longer than 1 s" in ran.json["detail"]


@pytest.mark.parametrize("text", ["0s", "soon", "-1s"])
def test_time_limit_is_a_duration(tmp_path: Path, job: Path, text: str) -> None:
    ran = halflife("models", "check", tmp_path, "--job", job, "--set", f"model.admission_timeout={text}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"model.admission_timeout: '{text}' is not allowed; expected: a duration" in ran.err


@pytest.mark.parametrize(("build", "reason"), FIRST_FAULT, ids=[build.__name__ for build, _ in FIRST_FAULT])
def test_broken_bundle_is_refused_with_its_own_reason(tmp_path: Path, job: Path, build: Build, reason: str) -> None:
    build(tmp_path / "bundle")
    key = new_key(tmp_path / "trusted")
    words = ["--trusted_key", key.public] if reason == "bad_signature" else []
    ran = halflife("models", "check", tmp_path / "bundle", "--job", job, *words, "--json")
    assert (ran.code, ran.err) == (1, "")
    assert list(ran.json) == ["admitted", "reason", "detail"]
    assert (ran.json["admitted"], ran.json["reason"]) == (False, reason)
    assert ran.json["detail"]
    assert "\n" not in ran.json["detail"]


def test_good_bundle_is_admitted(tmp_path: Path, job: Path) -> None:
    broken.good(tmp_path / "bundle")
    ran = halflife("models", "check", tmp_path / "bundle", "--job", job, "--json")
    assert (ran.code, ran.json) == (0, {"admitted": True, "reason": None, "detail": ""})
    assert halflife("models", "check", tmp_path / "bundle").out.startswith("admitted: v1 with digest ")


def test_refusal_is_one_line_for_people(tmp_path: Path) -> None:
    broken.golden_mismatch(tmp_path / "bundle")
    ran = halflife("models", "check", tmp_path / "bundle")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("halflife: refused: golden_mismatch: golden.jsonl line ")


def test_signature_is_asked_for_before_the_digests(tmp_path: Path) -> None:
    broken.wrong_digest(tmp_path / "bundle")
    words = ("models", "check", tmp_path / "bundle", "--json")
    assert halflife(*words, "--trusted_key", new_key(tmp_path / "k").public).json["reason"] == "bad_signature"
    assert halflife(*words).json["reason"] == "wrong_digest"


def test_job_with_a_trusted_key_asks_for_signatures(tmp_path: Path, job: Path) -> None:
    key = new_key(tmp_path / "trusted")
    broken.good(tmp_path / "bundle")
    words = ("models", "check", tmp_path / "bundle", "--job", job, "--set", f"model.trusted_key={key.public}", "--json")
    assert halflife(*words).json["reason"] == "bad_signature"
    sign_folder(tmp_path / "bundle", key.private)
    assert halflife(*words).json["admitted"]


def test_pickle_is_refused_unless_allowed(tmp_path: Path, job: Path) -> None:
    broken.pickled(tmp_path / "bundle")
    words = ("models", "check", tmp_path / "bundle", "--json")
    assert "a pickle can run any code" in halflife(*words).json["detail"]
    assert halflife(*words, "--allow-pickle").json["admitted"]
    assert halflife(*words, "--job", job, "--set", "model.allow_pickle=true").json["admitted"]


def test_version_in_the_store_is_checked_as_the_job_would(models: Models, tmp_path: Path, job: Path) -> None:
    assert models("check", "v1", "--json").json["admitted"]
    assert models("check", "v9", "--json").json["reason"] == "incomplete"
    assert models("check", "v1", "--max_bytes", "1", "--json").json["admitted"]  # it has no payload at all
    assert halflife("models", "check", "v1", "--job", job, "--json").json["admitted"]
    columns = '{"delay": "string", "distance": "integer", "weekend": "boolean", "carrier": "string"}'
    wrong = halflife("models", "check", "v1", "--job", job, "--set", f"events.columns={columns}", "--json").json
    assert (wrong["reason"], "expected: number" in wrong["detail"]) == ("wrong_inputs", True)


def test_missing_folder_is_incomplete(tmp_path: Path) -> None:
    assert halflife("models", "check", tmp_path / "nowhere", "--json").json["reason"] == "incomplete"
    assert halflife("models", "check", "nowhere", "--json").json["reason"] == "incomplete"
