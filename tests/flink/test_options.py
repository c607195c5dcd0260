"""The options that are let through for a Flink job are those that its job server has."""

import contextlib
from collections.abc import Iterator

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer

from pipeline.command_line import job_server_options
from pipeline.command_line.options import parse_run_options
from runners.flink.local.parts import job_server_jar
from runners.flink.settings import ALWAYS, CLIENT, STREAMING, with_profile
from tests.servers import needs

pytestmark = needs("java", "mvn")


@pytest.fixture(scope="module")
def described() -> Iterator[set[str]]:
    """The names that a real job server describes itself with."""
    given = [f"--flink_job_server_jar={job_server_jar()}", "--flink_master=127.0.0.1:1"]
    server = FlinkJarJobServer(PipelineOptions(given))
    asked = server.start().DescribePipelineOptions(beam_job_api_pb2.DescribePipelineOptionsRequest())
    yield {option.name for option in asked.options}
    server.stop()


def test_every_listed_option_is_the_job_servers(described: set[str]) -> None:
    assert sorted(job_server_options.FLINK - described) == []


def test_every_option_of_the_job_server_is_known(described: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    for name in sorted(described - {"runner"}):
        with contextlib.suppress(SystemExit):  # Beam has types for some of them, to which 1 does not fit
            parse_run_options([f"--{name}=1", "--runner=FlinkRunner"], "halflife run")
    assert "is not known" not in capsys.readouterr().err


def test_the_profile_passes_the_command_line() -> None:
    words = ["--runner=FlinkRunner", *with_profile((), "flights", streaming=True)]
    assert len(parse_run_options(words, "halflife run").beam) == len((*ALWAYS, *STREAMING)) + 3


def _configurations(*arguments: str) -> list[str]:
    return [word for word in with_profile(arguments, "flights", streaming=True) if word.startswith("--flink_conf_dir")]


def test_the_jobs_configuration_is_for_a_job_server_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLINK_CONF_DIR", raising=False)
    assert _configurations() == [f"--flink_conf_dir={CLIENT}"]
    assert "execution.buffer-timeout.interval: 5 ms" in (CLIENT / "flink-conf.yaml").read_text().splitlines()
    assert _configurations("--job_endpoint=there:8099") == []
    assert _configurations("--flink_submit_uber_jar") == []


def test_a_users_configuration_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _configurations("--flink_conf_dir=/mine")[-1] == "--flink_conf_dir=/mine"
    monkeypatch.setenv("FLINK_CONF_DIR", "/opt/flink/conf")
    assert _configurations() == []
