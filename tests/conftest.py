"""Settings of every test run: quiet and single-threaded libraries, reproducible property tests."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Two test processes share the machine: no library may take all cores. TensorFlow reads these when imported.
for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Servers in Java live only for minutes here: their second compiler would cost a third of their time.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# No deadline: the duration of an example depends on how busy the machine is, not on whether the code is right.
settings.register_profile(
    "halflife", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("halflife")


# Folders whose tests share servers of a session: one test process runs all of a folder's files. They take longest, and
# begin first.
SHARING_SERVERS = ("tests/flink/", "tests/kafka/")
# Files of few tests that take long begin next, so that none of them is left for the end, when one process is idle. The
# others begin in the order of their number of tests.
LONG = (
    "tests/transforms/beam/test_whole_job.py",
    "tests/dataflow/test_gcs.py",
    "tests/s3/test_sinks.py",
    "tests/docs/test_readme.py",
    "tests/docs/test_tutorial.py",
    "tests/pipeline/jobs/process/test_interruption.py",
    "tests/models/loading/test_memory.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, but a folder whose tests share servers is as one file, and what takes long begins first."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # has no types

    class ByFileOrFolder(LoadFileScheduling):  # type: ignore[misc]  # its base has no types
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return next((folder for folder in SHARING_SERVERS if scope.startswith(folder)), scope)

        def _assign_work_unit(self, node: Any) -> None:
            waiting = [scope for scope in (*SHARING_SERVERS, *LONG) if scope in self.workqueue]
            for scope in waiting[:1]:
                self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return ByFileOrFolder(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """A process whose tests build jobs of Beam remembers what Beam would work out for each anew."""
    gc.freeze()  # the collector passes over the million objects of libraries and of the collected tests
    if "apache_beam.transforms.core" in sys.modules:
        from tests.beam_memo import remember

        remember()


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent
