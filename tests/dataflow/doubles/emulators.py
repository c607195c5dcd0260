"""Servers on loopback that stand in for Google's. Each says what it is; none needs a network or an account."""

import hashlib
import json
from pathlib import Path

from runners.flink.local import parts
from runners.flink.local.processes import LOOPBACK, Process, answers, free_port
from tests.dataflow.doubles.gcs_gateway import GcsGateway

_START_SECONDS = 30.0
_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
_PUBSUB = Path(__file__).parents[1] / "pubsub_server"
PROJECT = "halflife-tests"


class PubsubServer:
    """`pstest`, the Pub/Sub server that Google's Go client is tested with: real gRPC, in memory, without IAM."""

    def __init__(self, folder: Path) -> None:
        # The cache may contain a program that was built with other dependencies.
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
    """`fake-gcs-server` behind `GcsGateway`: Cloud Storage in memory, without IAM. `secrets`: private key, token."""

    def __init__(self, folder: Path) -> None:
        program = parts.go_program(f"fake-gcs-server-{_GCS.rpartition('@')[2]}", _GCS) / "fake-gcs-server"
        port = free_port()
        options = ["-scheme", "http", "-host", LOOPBACK, "-port", str(port), "-backend", "memory"]
        command = [str(program), *options, "-public-host", f"{LOOPBACK}:{port}"]
        self.process = Process("the GCS server", command, folder / "gcs.log")
        self.process.wait_until(lambda: answers(port), _START_SECONDS)
        self._gateway = GcsGateway(port)
        self.url = self._gateway.url
        self.secrets = (_private_key(), self._gateway.token)
        # `gcs_base_url` and `disable_oauth` send obstore to another server; the rest is a key as Google issues it.
        email = "tests@halflife.iam.gserviceaccount.com"
        identity = {"client_email": email, "private_key_id": "1", "type": "service_account"}
        urls = {"token_uri": f"{self.url}/token", "gcs_base_url": self.url, "disable_oauth": True}
        self._key = folder / "key.json"
        self._key.write_text(json.dumps({**identity, **urls, "private_key": self.secrets[0]}))

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Google's clients and obstore find it."""
        return {
            "STORAGE_EMULATOR_HOST": self.url,
            "GOOGLE_AUTH_TRUST_BOUNDARY_ENABLED": "false",  # a look-up of the key's regions, which is not needed here
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._key),
            "GOOGLE_SERVICE_ACCOUNT_KEY": self._key.read_text(),
        }

    def create_bucket(self, name: str) -> str:
        """Makes a bucket by Google's own client and returns its URL; the environment must lead to the server."""
        from google.cloud.storage import Client

        Client(project=PROJECT).create_bucket(name)
        return f"gs://{name}"

    def stop(self) -> None:
        """Ends both."""
        self._gateway.stop()
        self.process.stop()


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()
