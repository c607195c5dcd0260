"""An S3 server on loopback, over a folder: `versitygw`."""

from typing import Self

from runners.flink.local import parts
from runners.flink.local.processes import LOOPBACK, Process, Server, answers

_START_SECONDS = 30.0
# Public, like the data: the server listens on loopback only.
_ACCESS, _SECRET, _REGION = "halflife", "halflife-on-loopback", "us-east-1"


class S3Server(Server):
    """A server whose buckets are the folders in `folder`; `start` and `stop`, or a `with` block."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which obstore and the AWS clients find it."""
        return {
            "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{self.port}",
            "AWS_ACCESS_KEY_ID": _ACCESS,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": _REGION,
            "AWS_ALLOW_HTTP": "true",
        }

    def start(self) -> Self:
        """Starts it. Raises `PartMissing` and `DidNotStart`."""
        buckets = self.folder / "buckets"
        buckets.mkdir(parents=True, exist_ok=True)
        command = [str(parts.s3_server()), "--port", f"{LOOPBACK}:{self.port}", "--quiet", "posix", str(buckets)]
        keys = {"ROOT_ACCESS_KEY": _ACCESS, "ROOT_SECRET_KEY": _SECRET}
        self.process = Process("the S3 server", command, self.folder / "s3.log", keys)
        self.process.wait_until(lambda: answers(self.port), _START_SECONDS)
        return self

    def create_bucket(self, name: str) -> str:
        """Makes a bucket and returns its URL."""
        (self.folder / "buckets" / name).mkdir(exist_ok=True)
        return f"s3://{name}"
