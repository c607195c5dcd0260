"""Whether a job's buckets can be used with the credentials found here: a real object is written, read and deleted."""

import re
import uuid
from typing import Any

from runners.findings import Finding, fail, ok, unchecked

_URI = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(.*))?")
_SECONDS = 10


class Buckets:
    """Google Cloud Storage with this machine's credentials; `why` says why there are none, else empty."""

    def __init__(self) -> None:
        self._client: Any = None
        self.why = ""
        try:
            import google.cloud.storage as storage
            from google.auth.exceptions import GoogleAuthError
        except ImportError:
            self.why = "Google's client is not installed; next: pip install 'halflife-beam[gcp]'"
            return
        try:
            self._client = storage.Client()
        except (GoogleAuthError, OSError) as error:
            self.why = f"no usable credentials here ({_one_line(error)})"

    def check(self, option: str, uri: str) -> Finding:
        """Writes, reads and deletes an object below a `gs://` URI; `option` is where it stands."""
        found = _URI.fullmatch(uri)
        if found is None:
            return fail(option, f"{uri!r} is not a folder of a bucket", "gs://bucket/folder")
        if self._client is None:
            return unchecked(option, f"{uri}: {self.why}", "gcloud auth application-default login, then ask again")
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        name = f"{(found[2] or '').strip('/')}/.halflife-{uuid.uuid4().hex}".lstrip("/")
        try:
            self._write_read_delete(found[1], name)
        except GoogleAuthError as error:
            return unchecked(option, f"{uri}: credentials that do not work ({_one_line(error)})")
        except (GoogleAPIError, OSError, ValueError) as error:
            advice = f"create gs://{found[1]}, or let this account read, write and delete there"
            return fail(option, f"{uri}: {_one_line(error)}", advice)
        return ok(option, f"{uri} can be written, read and deleted in")

    def _write_read_delete(self, bucket: str, name: str) -> None:
        blob = self._client.bucket(bucket).blob(name)
        once: dict[str, Any] = {"timeout": _SECONDS, "retry": None}
        blob.upload_from_string(b"halflife", if_generation_match=0, **once)
        try:
            if blob.download_as_bytes(**once) != b"halflife":
                raise ValueError("an object that was written reads otherwise; expected: its bytes")
        finally:
            blob.delete(**once)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:1500] or "it says nothing"
