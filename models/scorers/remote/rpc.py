"""One gRPC call: unary, with a deadline, bounded answers, and no retries or proxies of gRPC's own."""

import os
from collections.abc import Mapping
from pathlib import Path
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
from schemas.reasons import in_words

# Other codes (UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND, UNIMPLEMENTED …) refuse every such request.
_BY_CODE: Mapping[str, type[CallFailed]] = {
    "UNAVAILABLE": ServerUnavailable,
    "DEADLINE_EXCEEDED": ServerUnavailable,
    "RESOURCE_EXHAUSTED": ServerUnavailable,
    "INVALID_ARGUMENT": RecordsRefused,
    "OUT_OF_RANGE": RecordsRefused,
    "FAILED_PRECONDITION": RecordsRefused,
    "INTERNAL": ServerFailed,
    "UNKNOWN": ServerFailed,
    "ABORTED": ServerFailed,
    "DATA_LOSS": ServerFailed,
    "CANCELLED": ServerFailed,
}

# gRPC has no code of its own for a certificate that does not verify; waiting does not help.
_BAD_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


class RpcClient:
    """Calls methods of one server. Thread-safe; one channel, which reconnects by itself.

    Args:
        parameters: address, headers (sent as metadata), tls, timeouts and sizes.

    Raises:
        WillNotLoad: a secret is not in the environment, or a certificate cannot be read.
    """

    def __init__(self, parameters: Parameters) -> None:
        import grpc

        address = parameters.address
        headers = secrets_of("headers", parameters.headers, os.environ)
        self._secrets: Mapping[str, Secret] = {name.lower(): value for name, value in headers.items()}
        connect_ms = int(parameters.connect_timeout_s * 1000)
        options = [
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", parameters.max_answer_bytes),
            ("grpc.min_reconnect_backoff_ms", connect_ms),  # the time gRPC allows for a connection to be established
            ("grpc.initial_reconnect_backoff_ms", min(connect_ms, 200)),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        host = f"[{address.host}]" if ":" in address.host else address.host
        target = f"dns:///{host}:{address.port}"
        if address.scheme == "grpcs":
            self._channel = grpc.secure_channel(target, _credentials(parameters.tls), options)
        else:
            self._channel = grpc.insecure_channel(target, options)

    def call(self, method: str, request: Any, answer: Any, timeout_s: float) -> Any:
        """The answer, a message of the type of `answer`, of a method such as `/package.Service/Method`.

        Raises:
            CallFailed: by status code, or an answer that is too large or no such message.
        """
        import grpc
        from google.protobuf.message import DecodeError

        unary: Any = self._channel.unary_unary(method)
        metadata = tuple((name, one.reveal()) for name, one in self._secrets.items())
        try:
            raw = unary(request.SerializeToString(), timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise self._failure(error, method) from None
        try:
            return answer.FromString(raw)
        except DecodeError:
            wanted = answer.DESCRIPTOR.full_name
            raise AnswerMalformed(f"{method}: the answer cannot be read; expected: a {wanted}") from None

    def _failure(self, error: Any, method: str) -> CallFailed:
        code, details = error.code().name, error.details() or ""
        said = scrubbed(details, self._secrets.values())
        message = f"{method.rsplit('/', 1)[-1]}: {code}: {said or 'no text'}"
        if code == "RESOURCE_EXHAUSTED" and "larger than max" in said:
            return (RecordsRefused if said.startswith("SERVER") else AnswerMalformed)(message)
        if code == "UNAVAILABLE" and _BAD_CERTIFICATE in details:
            return RequestRefused(f"{message} {_BAD_CERTIFICATE}")
        return _BY_CODE.get(code, RequestRefused)(message, _pushback_s(error))

    def close(self) -> None:
        """Close the channel; calls under way are cancelled."""
        self._channel.close()


def _pushback_s(error: Any) -> float | None:
    """The pause a server asks for by gRPC's `grpc-retry-pushback-ms`."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-retry-pushback-ms" and str(value).isdigit():
            return int(value) / 1000
    return None


def _credentials(tls: Mapping[str, str]) -> Any:
    import grpc

    read: dict[str, bytes] = {}
    for key, path in secrets_of("tls", tls, os.environ).items():
        try:
            read[key] = Path(path.reveal()).read_bytes()
        except OSError as error:
            said = error.strerror or in_words(type(error).__name__)
            raise WillNotLoad(f"parameters.tls.{key}: {said}; expected: readable PEM files") from None
    return grpc.ssl_channel_credentials(read.get("ca"), read.get("key"), read.get("certificate"))
