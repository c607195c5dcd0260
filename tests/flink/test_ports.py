"""Every port that the product opens is on loopback, or on the given address."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.local.registry import RegistryServer
from runners.flink.worker_pool import WorkerPool
from tests.flink.conftest import Watched
from tests.listening import Listener, descendants, listeners
from tests.servers import needs

needs_java = needs("java", "mvn", "go")


def elsewhere(found: Iterable[Listener]) -> list[Listener]:
    return sorted(one for one in found if not one.on_loopback)


def ports_of(found: Iterable[Listener]) -> set[int]:
    return {one.port for one in found}


def test_worker_pool_listens_on_loopback_alone(tmp_path: Path) -> None:
    with WorkerPool(tmp_path) as pool:
        found = listeners(descendants(os.getpid()))
        assert pool.port in ports_of(found)
        assert elsewhere(found) == []


@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.3"])
def test_worker_pool_listens_on_the_address_that_it_is_told(tmp_path: Path, host: str) -> None:
    with WorkerPool(tmp_path, host=host) as pool:
        found = listeners(descendants(os.getpid()))
        assert {one.address for one in found if one.port == pool.port} == {host}
        assert pool.arguments[-1] == f"--environment_config={host}:{pool.port}"


def test_worker_pool_says_where_it_cannot_listen(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runners.flink.worker_pool", "--port=50123", "--host=192.0.2.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "--host 192.0.2.1: --port 50123: nothing can listen there" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@needs_java
def test_servers_of_the_demo_listen_on_loopback_alone(
    cluster: FlinkCluster, broker: KafkaBroker, s3: S3Server, tmp_path: Path
) -> None:
    with RegistryServer(tmp_path) as registry:
        found = listeners(descendants(os.getpid()))
    told = {cluster.ports["rest"], int(broker.bootstrap.partition(":")[2]), s3.port, registry.port}
    assert told <= ports_of(found)
    assert elsewhere(found) == []


@needs_java
def test_a_job_on_flink_opens_ports_on_loopback_alone(bounded_on_flink: Watched) -> None:
    answers, found = bounded_on_flink
    assert answers
    # The job server, the submitting process with its workers, and the task managers' own servers.
    for words in ("--job-port", "--environment_type=LOOPBACK", "taskmanager.resource-id"):
        assert any(words in one.command for one in found), words
    assert elsewhere(found) == []
