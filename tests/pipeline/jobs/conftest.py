"""A job in a folder of its own, with a model that serves."""

import shutil
from pathlib import Path

import pytest

from pipeline.run import run
from tests.pipeline.jobs.flows import Flow
from tests.pipeline.jobs.private_flows import private_flow, spec_of


@pytest.fixture
def flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """A job whose store has one version, released for all times."""
    made = Flow(tmp_path, capsys)
    made.publish()
    return made


@pytest.fixture(scope="session")
def ran_privately(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job with privacy that ran once; its model failed on one event."""
    made = Flow(tmp_path_factory.mktemp("private"), None)  # type: ignore[arg-type]  # it is only prepared
    with pytest.MonkeyPatch.context() as patch:
        private_flow(made, patch)
        assert run(["--job", str(made.write_spec(spec_of(made, private=True)))]) == 0
    return made.root


@pytest.fixture
def private(ran_privately: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Flow:
    """A copy of that, with a model that does not fail any more."""
    shutil.copytree(ran_privately, tmp_path / "own")
    return Flow(tmp_path / "own", capsys)
