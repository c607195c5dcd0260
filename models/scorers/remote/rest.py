"""One JSON request over HTTP: urllib3 without redirects, proxies or its own retries; answers bounded."""

import json
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from models.scorers.base import WillNotLoad
from models.scorers.remote.access import Secret, scrubbed, secrets_of
from models.scorers.remote.failures import (
    AnswerMalformed,
    CallFailed,
    RecordsRefused,
    RequestRefused,
    ServerFailed,
    ServerUnavailable,
)
from models.scorers.remote.parameters import Parameters
from schemas.reasons import in_words, reason

_REFUSED_RECORDS = frozenset({400, 413, 422})
_UNAVAILABLE = frozenset({408, 425, 429, 502, 503, 504})
_CHUNK = 65536


def failure_of(status: int) -> type[CallFailed]:
    """What an HTTP status other than 200 says."""
    if status in _UNAVAILABLE:
        return ServerUnavailable
    if status in _REFUSED_RECORDS:
        return RecordsRefused
    return ServerFailed if status >= 500 else RequestRefused


class RestClient:
    """JSON requests to one server. Thread-safe; keeps its connections.

    Proxies and credentials that the environment names for other programs (`HTTPS_PROXY`, `.netrc`) are not
    used, and a redirect is a refusal: requests go to the allowed server and nowhere else.

    Args:
        parameters: address, headers, tls, timeouts and sizes.
        clock: monotonic seconds, for the end of an attempt while an answer trickles in.

    Raises:
        WillNotLoad: a secret is not in the environment, or a certificate cannot be read.
    """

    def __init__(self, parameters: Parameters, clock: Callable[[], float]) -> None:
        import urllib3

        address = parameters.address
        headers = secrets_of("headers", parameters.headers, os.environ)
        self._secrets: Mapping[str, Secret] = headers
        self._url = f"{address.server}{address.path}"
        self._connect_timeout_s = parameters.connect_timeout_s
        self._max_bytes = parameters.max_answer_bytes
        self._clock = clock
        context = _tls_context(parameters.tls) if address.scheme == "https" else None
        self._pool = urllib3.PoolManager(
            maxsize=parameters.concurrency, retries=False, ssl_context=context, cert_reqs="CERT_REQUIRED"
        )

    def ask(self, method: str, path: str, document: Mapping[str, Any] | None, timeout_s: float) -> Any:
        """The JSON document of the answer.

        Raises:
            CallFailed: by connection, status, or an answer that is too large or no JSON.
        """
        try:
            body = None if document is None else json.dumps(document, separators=(",", ":")).encode()
        except ValueError as error:
            raise RecordsRefused(f"no JSON can be made of the records: {error}") from None
        answer = self._good(method, path, body, timeout_s)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            shown = scrubbed(answer[:200].decode("utf-8", "replace"), self._secrets.values())
            raise AnswerMalformed(f"{method} {path}: the answer is {shown[:60]!r}; expected: JSON") from None

    def ping(self, path: str, timeout_s: float) -> None:
        """GET a path of which only the status matters; raises CallFailed unless it is 200."""
        self._good("GET", path, None, timeout_s)

    def _good(self, method: str, path: str, body: bytes | None, timeout_s: float) -> bytes:
        status, answer, retry_after_s = self._exchange(method, path, body, timeout_s)
        if status != 200:
            said = scrubbed(answer[:2000].decode("utf-8", "replace"), self._secrets.values())
            raise failure_of(status)(f"{method} {path}: status {status}: {said or 'no text'}", retry_after_s)
        return answer

    def _exchange(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> tuple[int, bytes, float | None]:
        import urllib3

        ends_at = self._clock() + timeout_s
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers |= {name: one.reveal() for name, one in self._secrets.items()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        timeout = urllib3.Timeout(connect=min(self._connect_timeout_s, timeout_s), read=timeout_s)
        try:
            answer = self._pool.urlopen(
                method,
                self._url + path,
                body=body,
                headers=headers,
                timeout=timeout,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise _not_reached(error, f"{method} {path}") from None
        try:
            return answer.status, self._read(answer, f"{method} {path}", ends_at), _retry_after(answer)
        except urllib3.exceptions.HTTPError as error:
            raise _not_reached(error, f"{method} {path}") from None
        except CallFailed:
            answer.close()  # the rest of this answer must not be read as the next one
            raise
        finally:
            answer.release_conn()

    def _read(self, answer: Any, request: str, ends_at: float) -> bytes:
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise AnswerMalformed(f"{request}: the answer is compressed; expected: identity, as asked for")
        parts, size = [], 0
        while part := answer.read1(_CHUNK):
            size += len(part)
            if size > self._max_bytes:
                raise AnswerMalformed(f"{request}: the answer is too large; allowed: at most {self._max_bytes} bytes")
            if self._clock() > ends_at:
                raise ServerUnavailable(f"{request}: the answer did not end in time; expected: within timeout_s")
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()


def _not_reached(error: Exception, request: str) -> CallFailed:
    import urllib3

    # Only the kind of failure: the text of these errors repeats addresses and, for some, headers.
    said = in_words(type(error).__name__)
    inner = error.__cause__ or error.__context__
    if inner is not None and not isinstance(inner, urllib3.exceptions.HTTPError):
        said = f"{said}: {_kind(inner)}"
    said = f"{request}: {said}"
    if isinstance(error, urllib3.exceptions.SSLError):
        return RequestRefused(f"{request}: {reason(str(error))}")
    return ServerUnavailable(said)


def _kind(error: BaseException) -> str:
    """The system's text for a failure, else its class in words; neither names an address or a file."""
    said = error.strerror if isinstance(error, OSError) else None
    return reason(said or "") or in_words(type(error).__name__)


def _retry_after(answer: Any) -> float | None:
    import urllib3

    try:
        return urllib3.Retry(respect_retry_after_header=True).get_retry_after(answer)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _tls_context(tls: Mapping[str, str]) -> ssl.SSLContext:
    """A context that verifies the server, with CA bundle and client certificate from paths in the environment."""
    paths = {key: path.reveal() for key, path in secrets_of("tls", tls, os.environ).items()}
    try:
        context = ssl.create_default_context(cafile=paths.get("ca"))
        if "certificate" in paths:
            context.load_cert_chain(paths["certificate"], paths["key"])
    except (OSError, ssl.SSLError) as error:
        raise WillNotLoad(f"parameters.tls: {_kind(error)}; expected: readable PEM files") from None
    return context
