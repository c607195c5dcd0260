"""Models behind KServe, Triton or MLServer: the Open Inference Protocol (V2) over REST or gRPC."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Manifest
from models.scorers.base import WillNotLoad
from models.scorers.remote.calls import Pace
from models.scorers.remote.failures import AnswerMalformed, CallFailed, RequestRefused
from models.scorers.remote.halving import Scores
from models.scorers.remote.messages import messages
from models.scorers.remote.parameters import FEED_KEYS, Parameters
from models.scorers.remote.rest import RestClient
from models.scorers.remote.rpc import RpcClient
from models.scorers.remote.scorer import ModelService, RemoteScorer
from models.scorers.remote.tensors import Feed, Tensor, array_of, only, scores_of

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_RAW = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


class OpenInferenceScorer(RemoteScorer):
    """The model, and the version if one is pinned, that `parameters` name.

    `url` with http or https speaks REST, with grpc or grpcs GRPCInferenceService. The server's metadata gives
    the datatypes of the inputs where it has them; `datatypes` overrules it, and the usual ones are as for
    `tfserving`. Feed `matrix` sends one tensor (`input`, or the only one the server names), feed `named` one
    per column. Without `version` the first version that the server names is pinned: the answer of another one is
    refused.
    """

    kind = "openinference"
    requires = ("grpc", "google.protobuf", "tenacity", "urllib3")
    schemes = ("http", "https", "grpc", "grpcs")
    keys = frozenset({"model", "version", "headers", "tls"}) | FEED_KEYS
    required = ("model",)

    @classmethod
    def connect(cls, manifest: Manifest, parameters: Parameters) -> ModelService:
        """Over REST or gRPC, by the URL's scheme; asks for the model's metadata."""
        over_grpc = parameters.address.scheme in ("grpc", "grpcs")
        if not over_grpc:
            _refuse_nulls(manifest)
        protocol = (_Grpc if over_grpc else _Rest)(parameters)
        try:
            declared = protocol.declared(parameters.timeout_s)
            return _Model(protocol, manifest, parameters, Feed(manifest, parameters, declared))
        except (CallFailed, WillNotLoad):
            protocol.close()
            raise


class _Model:
    """What REST and gRPC share: from tensors to scores, and which version may answer."""

    def __init__(self, protocol: "_Rest | _Grpc", manifest: Manifest, parameters: Parameters, feed: Feed) -> None:
        self._protocol, self._parameters, self._feed = protocol, parameters, feed
        self._output = manifest.output
        self._version = parameters.version
        self._lock = threading.Lock()

    def check(self, timeout_s: float) -> None:
        self._protocol.check_ready(timeout_s)

    def predict(self, batch: pa.RecordBatch, timeout_s: float) -> Scores:
        tensors = self._feed.tensors(batch)
        model, version, outputs = self._protocol.infer(tensors, timeout_s)
        if model != self._parameters.model:
            raise AnswerMalformed(f"model {model[:60]!r} answered; expected: {self._parameters.model!r}")
        self._check_version(version)
        answer = only(outputs, self._parameters.output)
        return scores_of(answer, batch.num_rows, self._output, self._parameters.column, self._parameters.positive_index)

    def close(self) -> None:
        self._protocol.close()

    def _check_version(self, version: str) -> None:
        with self._lock:
            self._version = self._version or version
        if version and version != self._version:
            raise AnswerMalformed(f"version {version[:60]!r} answered; expected: {self._version!r}")


class _Rest:
    """https://github.com/kserve/open-inference-protocol, inference_rest.md."""

    def __init__(self, parameters: Parameters) -> None:
        self._client = RestClient(parameters, Pace().clock)
        self._output = parameters.output
        version = f"/versions/{quote(parameters.version, safe='')}" if parameters.version else ""
        self._path = f"/v2/models/{quote(parameters.model, safe='')}{version}"

    def declared(self, timeout_s: float) -> dict[str, str]:
        """Datatype by input as the metadata has them."""
        document = self._client.ask("GET", self._path, None, timeout_s)
        inputs = document.get("inputs") if isinstance(document, dict) else None
        return _datatypes(
            (entry.get("name"), entry.get("datatype"))
            for entry in (inputs if isinstance(inputs, list) else [])
            if isinstance(entry, dict)
        )

    def check_ready(self, timeout_s: float) -> None:
        """By the status alone: the rest of the answer differs from server to server."""
        self._client.ping(f"{self._path}/ready", timeout_s)

    def infer(self, tensors: list[Tensor], timeout_s: float) -> tuple[str, str, dict[str, npt.NDArray[Any]]]:
        """Model, version and outputs of the answer."""
        request: dict[str, Any] = {
            "inputs": [
                {
                    "name": tensor.name,
                    "shape": list(tensor.values.shape),
                    "datatype": tensor.datatype,
                    "data": tensor.values.ravel().tolist(),
                }
                for tensor in tensors
            ]
        }
        if self._output:
            request["outputs"] = [{"name": self._output}]
        answer = self._client.ask("POST", f"{self._path}/infer", request, timeout_s)
        outputs = answer.get("outputs") if isinstance(answer, dict) else None
        if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
            raise AnswerMalformed("the answer has no list `outputs`; expected: the form of the V2 protocol")
        found = {str(output.get("name")): output for output in outputs}
        chosen = only(found, self._output)
        return str(answer.get("model_name")), str(answer.get("model_version") or ""), {self._output: _array(chosen)}

    def close(self) -> None:
        self._client.close()


class _Grpc:
    """inference.GRPCInferenceService of the same specification."""

    def __init__(self, parameters: Parameters) -> None:
        self._client = RpcClient(parameters)
        self._messages = messages("openinference")
        self._model, self._version, self._output = parameters.model, parameters.version, parameters.output

    def declared(self, timeout_s: float) -> dict[str, str]:
        """Datatype by input as the metadata has them."""
        metadata = self._call("ModelMetadata", timeout_s, name=self._model, version=self._version)
        return _datatypes((entry.name, entry.datatype) for entry in metadata.inputs)

    def check_ready(self, timeout_s: float) -> None:
        """As the server says."""
        if not self._call("ModelReady", timeout_s, name=self._model, version=self._version).ready:
            raise RequestRefused(f"model {self._model!r} is not ready at the server; next: load it there")

    def infer(self, tensors: list[Tensor], timeout_s: float) -> tuple[str, str, dict[str, npt.NDArray[Any]]]:
        """Model, version and outputs of the answer."""
        inputs = [self._input(tensor) for tensor in tensors]
        outputs = [self._messages["InferRequestedOutputTensor"](name=self._output)] if self._output else []
        answer = self._call(
            "ModelInfer",
            timeout_s,
            model_name=self._model,
            model_version=self._version,
            inputs=inputs,
            outputs=outputs,
        )
        raw = answer.raw_output_contents
        if raw and len(raw) != len(answer.outputs):
            raise AnswerMalformed(f"the answer has {len(raw)} raw contents; expected: {len(answer.outputs)}")
        found = {output.name: (output, raw[index] if raw else None) for index, output in enumerate(answer.outputs)}
        output, content = only(found, self._output)
        return answer.model_name, answer.model_version, {self._output: _contents(output, content)}

    def close(self) -> None:
        self._client.close()

    def _input(self, tensor: Tensor) -> Any:
        flat = tensor.values.ravel().tolist()
        values = [text.encode() for text in flat] if tensor.datatype == "BYTES" else flat
        contents = self._messages["InferTensorContents"](**{_CONTENTS[tensor.datatype]: values})
        return self._messages["InferInputTensor"](
            name=tensor.name, datatype=tensor.datatype, shape=tensor.values.shape, contents=contents
        )

    def _call(self, method: str, timeout_s: float, **fields: Any) -> Any:
        request = self._messages[f"{method}Request"](**fields)
        answer = self._messages[f"{method}Response"]
        return self._client.call(f"/inference.GRPCInferenceService/{method}", request, answer, timeout_s)


def _refuse_nulls(manifest: Manifest) -> None:
    for entry in manifest.inputs:
        if entry.nullable and entry.default is None and entry.type != "string":
            raise WillNotLoad(
                f"input {entry.name!r} may be null, which the protocol's JSON cannot say; "
                f"expected: a default, or a grpc URL"
            )


def _datatypes(entries: Iterable[tuple[object, object]]) -> dict[str, str]:
    return {str(name): str(datatype) for name, datatype in entries}


def _array(output: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    shape = output.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise AnswerMalformed(f"the answer has shape {str(shape)[:60]}; expected: whole numbers")
    if str(output.get("datatype")) not in _RAW:
        raise AnswerMalformed(f"the answer has datatype {str(output.get('datatype'))[:60]}; expected: numbers")
    return _shaped(array_of(output.get("data"), "`data`").ravel(), shape)


def _contents(output: Any, raw: bytes | None) -> npt.NDArray[Any]:
    datatype, shape = output.datatype, list(output.shape)
    if datatype not in _RAW or (raw is None and datatype not in _CONTENTS) or min(shape, default=0) < 0:
        raise AnswerMalformed(f"the answer has datatype {datatype[:60]} and shape {shape[:9]}; expected: numbers")
    if raw is None:
        return _shaped(np.array(getattr(output.contents, _CONTENTS[datatype]), dtype=_RAW[datatype]), shape)
    if len(raw) % np.dtype(_RAW[datatype]).itemsize:
        raise AnswerMalformed(f"the answer has {len(raw)} bytes of {datatype}; expected: whole values")
    return _shaped(np.frombuffer(raw, dtype=_RAW[datatype]), shape)


def _shaped(values: npt.NDArray[Any], shape: list[int]) -> npt.NDArray[Any]:
    size = 1
    for length in shape:
        size *= length  # Python's own whole numbers: a hostile shape does not overflow
    if len(values) != size:
        raise AnswerMalformed(f"the answer has {len(values)} values; expected: those of shape {shape[:9]}")
    return values.reshape(shape)
