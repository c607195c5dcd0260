"""Servers that stand for Google's on loopback. Each says what it is; none needs a network or an account."""

import hashlib
import json
from pathlib import Path

from runners.flink import parts
from runners.flink.processes import LOOPBACK, Process, answers, free_port

_START_SECONDS = 30.0
_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
_PUBSUB = Path(__file__).parent / "pubsub_server"
PROJECT = "halflife-tests"


class PubsubServer:
    """`pstest`, the Pub/Sub server that Google's Go client is tested with: real gRPC, in memory, without IAM."""

    def __init__(self, folder: Path) -> None:
        # The cache may hold a program of other dependencies.
        key = hashlib.sha256((_PUBSUB / "go.sum").read_bytes() + (_PUBSUB / "main.go").read_bytes()).hexdigest()[:12]
        program = parts.go_program(f"pubsub-server-{key}", _PUBSUB) / "pubsub"
        self.address = f"{LOOPBACK}:{free_port()}"
        self.process = Process("the Pub/Sub server", [str(program), self.address], folder / "pubsub.log")
        port = int(self.address.rpartition(":")[2])
        self.process.wait_until(lambda: answers(port), _START_SECONDS)

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which Google's clients find it."""
        return {"PUBSUB_EMULATOR_HOST": self.address}


class GcsServer:
    """`fake-gcs-server`: the JSON and XML APIs of Cloud Storage in memory, without IAM."""

    def __init__(self, folder: Path) -> None:
        program = parts.go_program(f"fake-gcs-server-{_GCS.rpartition('@')[2]}", _GCS) / "fake-gcs-server"
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        options = ["-scheme", "http", "-host", LOOPBACK, "-port", str(port), "-backend", "memory"]
        command = [str(program), *options, "-public-host", f"{LOOPBACK}:{port}"]
        self.process = Process("the GCS server", command, folder / "gcs.log")
        self.process.wait_until(lambda: answers(port), _START_SECONDS)
        # How obstore is led elsewhere: a key file that names the address and asks for no token.
        identity = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        self._key = json.dumps({"gcs_base_url": self.url, "disable_oauth": True, **identity})

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Google's clients and obstore find it."""
        clients = {"STORAGE_EMULATOR_HOST": self.url, "GOOGLE_CLOUD_PROJECT": PROJECT}
        return {**clients, "GOOGLE_SERVICE_ACCOUNT_KEY": self._key}
