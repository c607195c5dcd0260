"""The template's metadata fits Dataflow's own schema and the job's own options; a launcher's arguments are read."""

import json
import re
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions
from google.cloud.dataflow_v1beta3.types import TemplateMetadata

from pipeline.command_line.options import job_options, parse_run_options
from pipeline.spec.documents import apply_settings, read_document, settings_of
from runners.dataflow.settings import ALWAYS, NOT_IN_TEMPLATE, STREAMING, with_profile
from schemas.validation import SpecError

LAUNCHER = (
    "--runner=DataflowRunner", "--project=p-1", "--region=europe-west1", "--job_name=flights", "--streaming",
    "--template_location=gs://bucket/st/template_launches/1/job_object", "--temp_location=gs://bucket/tmp",
    "--staging_location=gs://bucket/st", "--sdk_container_image=image:1", "--num_workers=2", "--max_num_workers=9",
    "--machine_type=n2-standard-4", "--service_account_email=a@b.iam", "--subnetwork=regions/r/subnetworks/s",
    "--no_use_public_ips", "--labels={\"team\":\"x\"}", "--experiments=use_runner_v2", "--update",
    "--transform_name_mapping={\"a\":\"b\"}",
)  # fmt: skip


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "runners" / "dataflow" / "metadata.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def metadata(text: str) -> TemplateMetadata:
    # Raises for a field that the schema does not have and for an unknown type.
    parsed: TemplateMetadata = TemplateMetadata.from_json(text, ignore_unknown_fields=False)
    return parsed


def test_every_parameter_has_what_the_schema_requires(metadata: TemplateMetadata) -> None:
    assert metadata.name
    lacking = [one.name for one in metadata.parameters if not (one.name and one.label and one.help_text)]
    assert lacking == []


def test_an_unknown_field_is_not_taken(text: str) -> None:
    document = json.loads(text)
    document["parameters"][0]["regex"] = "x"
    with pytest.raises(Exception, match='no field named "regex"'):
        TemplateMetadata.from_json(json.dumps(document), ignore_unknown_fields=False)


def test_the_template_has_every_option_of_the_job_but_those_with_a_reason(metadata: TemplateMetadata) -> None:
    offered = [one.name for one in metadata.parameters]
    assert sorted([*offered, *NOT_IN_TEMPLATE]) == sorted(job_options())
    assert [name for name, why in NOT_IN_TEMPLATE.items() if len(why) < 20] == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("job", "gs://bucket/jobs/flights.yaml", "jobs/flights.yaml"),
        ("settings", "{model.poll: 30s}", "model.poll=30s"),
        ("allow_pickle", "true", "yes"),
        ("verbose", "false", "1"),
    ],
)
def test_a_regex_lets_good_values_through_and_stops_bad_ones(
    metadata: TemplateMetadata, name: str, good: str, bad: str
) -> None:
    regexes = [regex for one in metadata.parameters if one.name == name for regex in one.regexes]
    assert all(re.fullmatch(regex, good) for regex in regexes)
    assert not all(re.fullmatch(regex, bad) for regex in regexes)


def test_the_launchers_arguments_are_read() -> None:
    given = ["--job=gs://bucket/flights.yaml", "--settings={model.poll: 30s}", "--allow_pickle=true", *LAUNCHER]
    options = parse_run_options(given, "launcher")
    assert options.job == "gs://bucket/flights.yaml"
    assert options.settings == ('model.poll="30s"', "model.allow_pickle=true")
    assert options.beam == LAUNCHER


@pytest.mark.parametrize("wrong", ["--jobb=gs://b/x", "--settings=5", "--allow_pickle=yes", "--machine_tpye=x"])
def test_a_wrong_option_stops_at_the_launcher_with_its_name(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_run_options([wrong, *LAUNCHER], "launcher")
    assert stopped.value.code == 2
    assert wrong.split("=")[0] in capsys.readouterr().err


def test_settings_keep_texts_that_look_like_something_else() -> None:
    document = read_document(None)
    apply_settings(document, settings_of('{"features[0]": "no", model.name: "a: b # c", sinks: null}'))
    assert (document["features"][0], document["model"]["name"], document["sinks"]) == ("no", "a: b # c", None)


def test_the_command_line_wins_over_the_profile() -> None:
    workers = PipelineOptions(with_profile(LAUNCHER, "flights", True)).view_as(WorkerOptions)
    assert (workers.max_num_workers, workers.machine_type) == (9, "n2-standard-4")
    default = PipelineOptions(with_profile((), "flights", True)).view_as(WorkerOptions)
    assert (default.max_num_workers, default.num_workers) == (10, 2)


def test_every_setting_is_an_option_of_beam_and_has_a_reason() -> None:
    parse_run_options(with_profile((), "flights", True), "launcher")  # exits for one that Beam does not know
    assert [setting.option for setting in (*ALWAYS, *STREAMING) if len(setting.why) < 20] == []


def test_the_image_is_made_of_what_the_project_has(root: Path) -> None:
    dockerfile = (root / "runners" / "dataflow" / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG BEAM_VERSION={beam.__version__}\n" in dockerfile
    assert f"apache/beam_python3.{sys.version_info.minor}_sdk" in dockerfile
    copied = [word for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE) for word in line.split()]
    assert {"requirements-worker.lock", "schemas", "models", "transforms", "pipeline", "runners"} <= set(copied)
    assert [name for name in copied if not (root / name).exists()] == []
    ignored = (root / "runners" / "dataflow" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert [name for name in copied if f"!{name}" not in ignored] == []


def test_a_spec_is_read_from_any_file_system_of_beam(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("job: there", encoding="utf-8")
    assert read_document(f"file://{tmp_path}/job.yaml") == {"job": "there"}


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ("gs5://bucket/job.yaml", "'gs5://bucket/job.yaml' is not allowed; expected: a path or a URI with one of the"),
        ("file:///nowhere/job.yaml", "'file:///nowhere/job.yaml': .*; expected: a readable YAML file"),
    ],
)
def test_a_spec_that_is_not_there_is_named_in_one_line(job: str, says: str) -> None:
    with pytest.raises(SpecError, match=f"--job: {says}") as refused:
        read_document(job)
    assert "\n" not in str(refused.value)
