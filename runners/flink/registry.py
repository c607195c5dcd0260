"""A schema registry on loopback: Apicurio Registry, asked in the language of Confluent's."""

import urllib.error
import urllib.request
from pathlib import Path

from runners.flink import parts
from runners.flink.processes import LOOPBACK, Process, free_port

_START_SECONDS = 180.0  # it takes five on a machine that has nothing else to do
_JAVA = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class RegistryServer:
    """A registry with its log in `folder`; `start` and `stop`, or a `with` block. Schemas are gone with its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.port = free_port()
        self.process: Process | None = None

    @property
    def url(self) -> str:
        """What clients of Confluent's registry take."""
        return f"http://{LOOPBACK}:{self.port}/apis/ccompat/v7"

    def start(self) -> "RegistryServer":
        """Raises `PartMissing` and `DidNotStart`."""
        options = [f"-Dquarkus.http.host={LOOPBACK}", f"-Dquarkus.http.port={self.port}"]
        command = [parts.java(), *_JAVA, *options, "-jar", str(parts.registry_jar())]
        self.process = Process("the schema registry", command, self.folder / "registry.log")
        self.process.wait_until(self._answers, _START_SECONDS)
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Ends the registry."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def __enter__(self) -> "RegistryServer":
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()
