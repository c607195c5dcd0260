"""Models behind TensorFlow Serving: its predict API over REST or gRPC, of one pinned version."""

from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import InvalidManifest, Manifest
from models.scorers.remote.calls import Pace
from models.scorers.remote.failures import AnswerMalformed, RequestRefused
from models.scorers.remote.halving import Scores
from models.scorers.remote.messages import messages
from models.scorers.remote.parameters import FEED_KEYS, Parameters
from models.scorers.remote.rest import RestClient
from models.scorers.remote.rpc import RpcClient
from models.scorers.remote.scorer import ModelService, RemoteScorer
from models.scorers.remote.tensors import Feed, Tensor, array_of, only, scores_of

# tensorflow.DataType by the names used here, and the field of TensorProto that holds the values of each.
_DTYPES = {"FP32": 1, "FP64": 2, "INT32": 3, "BYTES": 7, "INT64": 9, "BOOL": 10}
_FIELDS = {1: "float_val", 2: "double_val", 3: "int_val", 9: "int64_val", 10: "bool_val"}
_NUMPY = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 10: "?"}
_STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_AVAILABLE = "AVAILABLE"
_MOST_VERSION = 2**63 - 1


class TfservingScorer(RemoteScorer):
    """The model, version and signature that `parameters` name.

    `url` with http or https speaks REST (columnar format), with grpc or grpcs the PredictionService. Feed
    `matrix` sends one tensor `input` of shape (n, inputs), FP32 unless `datatypes` says FP64; feed `named` one
    tensor per column, as (n,) or with `rank` 2 as (n, 1): numbers FP32, integers INT64, booleans BOOL, strings
    BYTES with a null as "". The answer is the one output, or the one that `output` names.
    """

    kind = "tfserving"
    requires = ("grpc", "google.protobuf", "tenacity", "urllib3")
    schemes = ("http", "https", "grpc", "grpcs")
    keys = frozenset({"model", "version", "signature", "headers", "tls"}) | FEED_KEYS
    required = ("model", "version")

    @classmethod
    def connect(cls, manifest: Manifest, parameters: Parameters) -> ModelService:
        """Over REST or gRPC, by the URL's scheme."""
        digits = parameters.version
        if not (digits.isascii() and digits.isdigit() and int(digits[:20]) <= _MOST_VERSION):
            raise InvalidManifest("parameters.version", digits, "the number of a version in TensorFlow Serving")
        feed = Feed(manifest, parameters, {})
        over_grpc = parameters.address.scheme in ("grpc", "grpcs")
        return (_Grpc if over_grpc else _Rest)(manifest, parameters, feed)


class _Rest:
    """https://www.tensorflow.org/tfx/serving/api_rest, the columnar format."""

    def __init__(self, manifest: Manifest, parameters: Parameters, feed: Feed) -> None:
        self._output = manifest.output
        self._column, self._positive_index = parameters.column, parameters.positive_index
        self._parameters, self._feed = parameters, feed
        self._client = RestClient(parameters, Pace().clock)
        self._path = f"/v1/models/{quote(parameters.model, safe='')}/versions/{int(parameters.version)}"

    def check(self, timeout_s: float) -> None:
        document = self._client.ask("GET", self._path, None, timeout_s)
        statuses = document.get("model_version_status") if isinstance(document, dict) else None
        found = [
            str(status.get("state"))[:40]
            for status in (statuses if isinstance(statuses, list) else [])
            if isinstance(status, dict) and str(status.get("version")) == str(int(self._parameters.version))
        ]
        if _AVAILABLE not in found:
            raise RequestRefused(f"{_state(self._parameters.version, found)}; expected: {_AVAILABLE}")

    def predict(self, batch: pa.RecordBatch, timeout_s: float) -> Scores:
        inputs = {tensor.name: tensor.values.tolist() for tensor in self._feed.tensors(batch)}
        request = {"signature_name": self._parameters.signature, "inputs": inputs}
        document = self._client.ask("POST", f"{self._path}:predict", request, timeout_s)
        if not isinstance(document, dict) or "outputs" not in document:
            raise AnswerMalformed("the answer has no `outputs`; expected: the columnar format of predict")
        outputs = document["outputs"]
        if isinstance(outputs, dict):  # several outputs have names; a single one has not
            outputs = only(outputs, self._parameters.output)
        values = array_of(outputs, "`outputs`")
        return scores_of(values, batch.num_rows, self._output, self._column, self._positive_index)

    def close(self) -> None:
        self._client.close()


class _Grpc:
    """tensorflow.serving.PredictionService and ModelService."""

    def __init__(self, manifest: Manifest, parameters: Parameters, feed: Feed) -> None:
        self._output = manifest.output
        self._column, self._positive_index = parameters.column, parameters.positive_index
        self._parameters, self._feed = parameters, feed
        self._version = int(parameters.version)
        self._messages = messages("tfserving")
        self._client = RpcClient(parameters)

    def check(self, timeout_s: float) -> None:
        request = self._messages["GetModelStatusRequest"](model_spec=self._spec())
        answer = self._messages["GetModelStatusResponse"]
        found = self._client.call("/tensorflow.serving.ModelService/GetModelStatus", request, answer, timeout_s)
        served = [status.state for status in found.model_version_status if status.version == self._version]
        states = [_STATES.get(state, str(state)) for state in served]
        if _AVAILABLE not in states:
            raise RequestRefused(f"{_state(self._version, states)}; expected: {_AVAILABLE}")

    def predict(self, batch: pa.RecordBatch, timeout_s: float) -> Scores:
        request = self._messages["PredictRequest"](model_spec=self._spec(self._parameters.signature))
        for tensor in self._feed.tensors(batch):
            _fill(request.inputs[tensor.name], tensor)
        if self._parameters.output:
            request.output_filter.append(self._parameters.output)
        answer = self._messages["PredictResponse"]
        found = self._client.call("/tensorflow.serving.PredictionService/Predict", request, answer, timeout_s)
        spec = found.model_spec
        if spec.HasField("version") and spec.version.value != self._version:
            raise AnswerMalformed(f"version {spec.version.value} answered; expected: {self._version}")
        values = _values(only(found.outputs, self._parameters.output))
        return scores_of(values, batch.num_rows, self._output, self._column, self._positive_index)

    def close(self) -> None:
        self._client.close()

    def _spec(self, signature: str = "") -> Any:
        version = self._messages["Int64Value"](value=self._version)
        return self._messages["ModelSpec"](name=self._parameters.model, version=version, signature_name=signature)


def _fill(proto: Any, tensor: Tensor) -> None:
    proto.dtype = _DTYPES[tensor.datatype]
    for size in tensor.values.shape:
        proto.tensor_shape.dim.add(size=size)
    if tensor.datatype == "BYTES":
        proto.string_val.extend(text.encode() for text in tensor.values.ravel())
    else:
        proto.tensor_content = tensor.values.astype(_NUMPY[proto.dtype]).tobytes()


def _state(version: object, states: list[str]) -> str:
    return f"version {version} is {', '.join(states) or 'unknown'} at the server"


def _values(proto: Any) -> npt.NDArray[Any]:
    """The values of a TensorProto of numbers; a field with fewer values than the shape repeats its last."""
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.dtype not in _NUMPY or min(shape, default=0) < 0:
        raise AnswerMalformed(f"the answer has dtype {proto.dtype} and shape {shape}; expected: numbers of known shape")
    size = 1
    for length in shape:
        size *= length  # Python's own whole numbers: a hostile shape does not overflow
    if proto.tensor_content:
        values = _from_bytes(proto.tensor_content, _NUMPY[proto.dtype])
    else:
        values = np.array(getattr(proto, _FIELDS[proto.dtype]), dtype=_NUMPY[proto.dtype])
        if len(values) == 1 and size <= 1 << 24:
            values = np.repeat(values, size)
    if len(values) != size:
        raise AnswerMalformed(f"the answer has {len(values)} values; expected: those of shape {shape}")
    return values.reshape(shape)


def _from_bytes(content: bytes, dtype: str) -> npt.NDArray[Any]:
    if len(content) % np.dtype(dtype).itemsize:
        raise AnswerMalformed(f"the answer has {len(content)} bytes of {dtype}; expected: whole values")
    return np.frombuffer(content, dtype=dtype)
