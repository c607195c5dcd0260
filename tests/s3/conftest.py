"""Stores of both kinds for end-to-end tests: a local folder, and a bucket on a real S3 server."""

import functools
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader

from runners.flink.local.objects import S3Server
from tests.pipeline.commands.commands import Models
from tests.servers import skipped_without


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server for this test process; built with Go when it runs for the first time on a machine."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    with skipped_without("no S3 server", "go"):
        server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def descriptions_of_aws() -> Iterator[None]:
    """The files that describe AWS are parsed once for all clients of this process, as botocore does for those of one
    session: Beam makes a session for each look at a bucket."""
    load, loader = JSONFileLoader.load_file, JSONFileLoader()
    parsed = functools.cache(lambda path: load(loader, path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: parsed(path))
        yield


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with the environment variables set that point to it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(params=["folder", "s3"])
def models(request: pytest.FixtureRequest, tmp_path: Path) -> Models:
    """`halflife models` on an empty store of either kind."""
    if request.param == "folder":
        return Models(str(tmp_path / "store"))
    server: S3Server = request.getfixturevalue("s3")
    return Models(server.create_bucket(f"models-{uuid.uuid4().hex[:8]}") + "/halflife")
