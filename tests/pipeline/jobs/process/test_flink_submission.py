"""A job that cannot be submitted to Flink says in one line by which option, before Java is started."""

from pathlib import Path

import pytest

from runners.flink.local.processes import LOOPBACK, free_port
from runners.flink.submission import check_submission
from tests.pipeline.jobs.flows import Flow, json_lines, said_nothing_of_python, trips


@pytest.fixture
def fed(flow: Flow) -> Flow:
    flow.feed(json_lines(trips(3)))
    return flow


def said(flow: Flow, *options: str) -> str:
    outcome = flow.run(flow.spec(), "--runner=FlinkRunner", *options)
    assert (outcome.code, outcome.out) == (1, "")
    assert said_nothing_of_python(outcome), outcome.err
    return outcome.err


def test_cluster_that_nobody_runs_is_named(fed: Flow) -> None:
    master = f"{LOOPBACK}:{free_port()}"
    text = said(fed, f"--flink_master={master}")
    assert f"--flink_master: '{master}' takes no connection (Connection refused); expected: host:port of" in text


def test_address_in_brackets_is_a_cluster_too(fed: Flow) -> None:
    master = f"[::1]:{free_port()}"
    assert f"--flink_master: '{master}' takes no connection" in said(fed, f"--flink_master={master}")


def test_text_that_is_no_address_is_named(fed: Flow) -> None:
    assert "--flink_master: 'nowhere' is not an address; expected: host:port" in said(fed, "--flink_master=nowhere")


def test_file_that_is_no_jar_is_named(fed: Flow, tmp_path: Path) -> None:
    absent, text = tmp_path / "server.jar", tmp_path / "readme.jar"
    text.write_text("see there")
    for path in (absent, text):
        expected = f"--flink_job_server_jar: '{path}' is not a jar; expected: a file or URL"
        assert expected in said(fed, f"--flink_job_server_jar={path}")


@pytest.mark.parametrize("elsewhere", ["--job_endpoint=host:8099", "--output_executable_path=job.jar"])
def test_cluster_that_this_process_does_not_meet_is_not_asked(elsewhere: str) -> None:
    check_submission([f"--flink_master={LOOPBACK}:{free_port()}", elsewhere])
