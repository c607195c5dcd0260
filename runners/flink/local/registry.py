"""A schema registry on loopback: Apicurio Registry, through the API of Confluent's registry."""

import urllib.error
import urllib.request
from typing import Self

from runners.flink.local import parts
from runners.flink.local.processes import LOOPBACK, Process, Server

_START_SECONDS = 180.0  # it takes five on an idle machine
_JAVA = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class RegistryServer(Server):
    """A registry with its log in `folder`; `start` and `stop`, or a `with` block. Schemas are lost when its process
    ends."""

    @property
    def url(self) -> str:
        """The URL for clients of Confluent's registry."""
        return f"http://{LOOPBACK}:{self.port}/apis/ccompat/v7"

    def start(self) -> Self:
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
