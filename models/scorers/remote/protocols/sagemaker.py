"""Models behind an Amazon SageMaker endpoint, invoked through boto3."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import InvalidManifest, Manifest
from models.errors import one_line
from models.scorers.remote.access import scrubbed
from models.scorers.remote.failures import (
    AnswerMalformed,
    CallFailed,
    RecordsRefused,
    RequestRefused,
    ServerFailed,
    ServerUnavailable,
)
from models.scorers.remote.halving import Scores
from models.scorers.remote.parameters import Parameters
from models.scorers.remote.rest import failure_of
from models.scorers.remote.scorer import ModelService, RemoteScorer
from models.scorers.remote.tensors import array_of, only, scores_of
from schemas.vectors import rows_of

_CONTENT_TYPES = {"csv": "text/csv", "json": "application/json"}
_BY_CODE: Mapping[str, type[CallFailed]] = {
    "ThrottlingException": ServerUnavailable,
    "ServiceUnavailable": ServerUnavailable,
    "ServiceUnavailableException": ServerUnavailable,
    "ModelNotReadyException": ServerUnavailable,
    "InternalDependencyException": ServerUnavailable,
    "InternalFailure": ServerFailed,
    "InternalStreamFailure": ServerFailed,
}


class SagemakerScorer(RemoteScorer):
    """The endpoint of `url` `sagemaker://region/endpoint`; credentials as boto3 finds them.

    `format` `csv` sends a line of numbers per record, an empty field for a null, and reads numbers separated
    by commas and newlines, as SageMaker's own algorithms do; `json` sends `{"instances": [[…], …]}` and reads
    `{"predictions": […]}`, as its TensorFlow containers do. `variant` pins the production variant: an answer of
    another one is refused. `target_model` chooses the model on a multi-model endpoint. `output` names the
    value where a prediction in JSON is an object.
    """

    kind = "sagemaker"
    requires = ("boto3", "tenacity")
    schemes = ("sagemaker",)
    keys = frozenset({"variant", "target_model", "format", "output"})

    @classmethod
    def connect(cls, manifest: Manifest, parameters: Parameters) -> ModelService:
        """Makes a client of its own, which is thread-safe; no call is made yet."""
        strings = [entry.name for entry in manifest.inputs if entry.type == "string"]
        if strings:
            allowed = f"numbers, integers and booleans; {', '.join(strings)} are strings"
            raise InvalidManifest("inputs", strings, allowed)
        return _Endpoint(manifest, parameters)


class _Endpoint:
    def __init__(self, manifest: Manifest, parameters: Parameters) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        address = parameters.address
        self._output, self._parameters = manifest.output, parameters
        self._endpoint = address.path.lstrip("/")
        if not self._endpoint or "/" in self._endpoint:
            raise InvalidManifest("parameters.url", address.server, "sagemaker://region/endpoint")
        config = Config(
            connect_timeout=parameters.connect_timeout_s,
            read_timeout=parameters.timeout_s,
            max_pool_connections=max(parameters.concurrency, 10),
            retries={"total_max_attempts": 1},  # retried here, with the circuit and the deadline
        )
        try:
            session = boto3.session.Session()
            self._client = session.client("sagemaker-runtime", region_name=address.host, config=config)
        except (BotoCoreError, ValueError) as error:
            raise RequestRefused(_said(error)) from None
        self._request = {
            "EndpointName": self._endpoint,
            "ContentType": _CONTENT_TYPES[parameters.format],
            "Accept": _CONTENT_TYPES[parameters.format],
        }
        if parameters.variant:
            self._request["TargetVariant"] = parameters.variant
        if parameters.target_model:
            self._request["TargetModel"] = parameters.target_model

    def check(self, timeout_s: float) -> None:
        """Does nothing: the runtime API can only predict, which golden records do."""

    def predict(self, batch: pa.RecordBatch, timeout_s: float) -> Scores:
        values = _values(batch)
        body = _csv(values) if self._parameters.format == "csv" else _json(values)
        answer, variant = self._invoke(body)
        wanted = self._parameters.variant
        if wanted and variant and variant != wanted:
            raise AnswerMalformed(f"variant {variant[:60]!r} answered; expected: {wanted!r}")
        csv = self._parameters.format == "csv"
        answers = _numbers(answer, batch.num_rows) if csv else self._predictions(answer)
        column, positive_index = self._parameters.column, self._parameters.positive_index
        return scores_of(answers, batch.num_rows, self._output, column, positive_index)

    def close(self) -> None:
        self._client.close()

    def _invoke(self, body: bytes) -> tuple[bytes, str]:
        """The bytes of an answer, of bounded size, and the variant that gave it."""
        from botocore.exceptions import BotoCoreError, ClientError

        most = self._parameters.max_answer_bytes
        try:
            found = self._client.invoke_endpoint(Body=body, **self._request)
            answer: bytes = found["Body"].read(most + 1)
        except ClientError as error:
            raise _failure(error.response) from None
        except BotoCoreError as error:
            raise _not_reached(error) from None
        found["Body"].close()
        if len(answer) > most:
            raise AnswerMalformed(f"the answer is too large; allowed: at most {most} bytes")
        return answer, str(found.get("InvokedProductionVariant") or "")

    def _predictions(self, answer: bytes) -> npt.NDArray[np.float64]:
        try:
            document = json.loads(answer)
        except (ValueError, RecursionError):
            raise AnswerMalformed(f"the answer is {answer[:60]!r}; expected: JSON") from None
        predictions = document.get("predictions") if isinstance(document, dict) else None
        if not isinstance(predictions, list):
            raise AnswerMalformed("the answer has no list `predictions`; expected: the form of TensorFlow Serving")
        if all(isinstance(one, dict) for one in predictions):
            predictions = [only(one, self._parameters.output) for one in predictions]
        return array_of(predictions, "`predictions`")


def _values(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """The records' numbers, those of a vector one after the other: whole numbers unchanged, since a float would round
    them beyond 2^53; None for a null."""
    columns = [values for column in batch.columns for values in _numbers_of(column)]
    return list(zip(*columns, strict=True))


def _numbers_of(column: pa.Array) -> list[list[Any]]:
    """A column of numbers, or those of a column of vectors."""
    if pa.types.is_fixed_size_list(column.type):
        numbers: list[list[Any]] = rows_of(column).T.tolist()
        return numbers
    return [(column if pa.types.is_integer(column.type) else column.cast(pa.float64())).to_pylist()]


def _csv(rows: list[tuple[Any, ...]]) -> bytes:
    lines = [",".join("" if value is None or value != value else repr(value) for value in row) for row in rows]
    return "\n".join(lines).encode()


def _json(rows: list[tuple[Any, ...]]) -> bytes:
    if any(value is None or not math.isfinite(value) for row in rows for value in row):
        raise RecordsRefused("JSON has no null among numbers, and no infinity; expected: format csv, or a default")
    return json.dumps({"instances": rows}, separators=(",", ":")).encode()


def _numbers(answer: bytes, rows: int) -> npt.NDArray[np.float64]:
    """Numbers separated by commas within a line, or one per line; one line of n numbers is n records, or one's."""
    try:
        lines = [[float(field) for field in line.split(",")] for line in answer.decode("ascii").split()]
    except (ValueError, UnicodeDecodeError):
        raise AnswerMalformed(f"the answer is {answer[:60]!r}; expected: numbers with commas between them") from None
    if len({len(line) for line in lines}) > 1:
        raise AnswerMalformed("the answer has lines of different lengths; expected: as many numbers in each")
    values = np.array(lines, dtype=np.float64)
    return values[0] if len(lines) == 1 and rows > 1 else values


def _failure(response: Mapping[str, Any]) -> CallFailed:
    error = response.get("Error", {})
    code, status = str(error.get("Code", "")), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = scrubbed(f"{code}: {error.get('Message', '')}", ())
    if code == "ModelError":  # the container's own answer
        return failure_of(int(response.get("OriginalStatusCode") or 500))(said)
    # A ValidationError concerns the request: no such endpoint or variant.
    usual = RequestRefused if code == "ValidationError" else failure_of(int(status or 500))
    return _BY_CODE.get(code, usual)(said)


def _not_reached(error: Exception) -> CallFailed:
    from botocore import exceptions

    passing = (exceptions.HTTPClientError, exceptions.ConnectionError)
    certificate = isinstance(error, exceptions.SSLError)
    return (ServerUnavailable if isinstance(error, passing) and not certificate else RequestRefused)(_said(error))


def _said(error: Exception) -> str:
    return scrubbed(one_line(error), ())
