"""Real servers, each with a trained model, and what the model would answer."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import as_matrix
from tests.remote.servers.processes import ROOT, ServerProcess, answers, free_ports

HERE = Path(__file__).parent


@dataclass(frozen=True)
class MlServer:
    """MLServer with a logistic regression called `late`, version `v1`."""

    process: ServerProcess
    folder: Path
    http_port: int
    grpc_port: int
    weights: npt.NDArray[np.float64]
    intercept: float

    @classmethod
    def make(cls, environment: Path, folder: Path) -> "MlServer":
        """Train the model and write the settings; `process.start` starts it."""
        python = environment / "bin" / "python"
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([python, HERE / "train_for_mlserver.py", folder], check=True, env=environ)
        http_port, grpc_port, metrics_port = free_ports(3)
        settings = {
            "host": "127.0.0.1",
            "http_port": http_port,
            "grpc_port": grpc_port,
            "metrics_port": metrics_port,
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "debug": False,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        parameters = {"uri": "./model.joblib", "version": "v1"}
        model = {"name": "late", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters}
        (folder / "model-settings.json").write_text(json.dumps(model))
        made_of = json.loads((folder / "made_of.json").read_text())
        command = [str(environment / "bin" / "mlserver"), "start", str(folder)]
        process = ServerProcess(command, lambda: _ready(http_port) and answers(grpc_port), folder)
        return cls(process, folder, http_port, grpc_port, np.array(made_of["weights"]), made_of["intercept"])

    def url(self, scheme: str) -> str:
        """Of this scheme, http or grpc."""
        return f"{scheme}://127.0.0.1:{self.http_port if scheme == 'http' else self.grpc_port}"

    def expected(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """The probability that the model's coefficients give."""
        logits = as_matrix(batch) @ self.weights + self.intercept
        probabilities: npt.NDArray[np.float64] = 1 / (1 + np.exp(-logits))
        return probabilities


@dataclass(frozen=True)
class TfServing:
    """tests/remote/servers/tf_serving.py with the model `late`, version 3."""

    process: ServerProcess
    folder: Path
    http_port: int
    grpc_port: int

    @classmethod
    def make(cls, folder: Path) -> "TfServing":
        """`process.start` makes the model and serves it."""
        http_port, grpc_port = free_ports(2)
        command = [sys.executable, "-m", "tests.remote.servers.tf_serving", str(folder), str(http_port), str(grpc_port)]
        return cls(ServerProcess(command, lambda: answers(http_port), folder), folder, http_port, grpc_port)

    def url(self, scheme: str) -> str:
        """Of this scheme, http or grpc."""
        return f"{scheme}://127.0.0.1:{self.http_port if scheme == 'http' else self.grpc_port}"


@dataclass(frozen=True)
class KServe:
    """tests/remote/servers/kserve_server.py, in an environment of KServe's own, with the model `late`."""

    process: ServerProcess
    http_port: int
    grpc_port: int

    @classmethod
    def make(cls, environment: Path, folder: Path) -> "KServe":
        """`process.start` starts it."""
        http_port, grpc_port = free_ports(2)
        python = str(environment / "bin" / "python")
        command = [python, str(HERE / "kserve_server.py"), str(http_port), str(grpc_port)]
        process = ServerProcess(command, lambda: _ready(http_port) and answers(grpc_port), folder)
        return cls(process, http_port, grpc_port)

    def url(self, scheme: str) -> str:
        """Of this scheme, http or grpc."""
        return f"{scheme}://127.0.0.1:{self.http_port if scheme == 'http' else self.grpc_port}"


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/v2/models/late/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
