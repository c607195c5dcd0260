"""A process that serves a SavedModel by the protos of `tensorflow-serving-api`, and by the documented REST form.

Usage: python -m tests.remote.servers.tf_serving FOLDER HTTP_PORT GRPC_PORT. It keeps to what TensorFlow Serving does:
https://www.tensorflow.org/tfx/serving/api_rest and the comments of its protos.
"""

import json
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.remote.servers import late
from tests.remote.servers.published import fields_of

NAME, VERSION = "late", 3
Code = grpc.StatusCode
_STATUS = {Code.NOT_FOUND: 404, Code.INVALID_ARGUMENT: 400}


class Refused(Exception):
    """What TensorFlow Serving answers with a status."""

    def __init__(self, code: grpc.StatusCode, said: str) -> None:
        super().__init__(said)
        self.code = code


class Late(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """The model of tests/remote/servers/late.py."""

    def __init__(self) -> None:
        super().__init__()
        keys = tf.lookup.KeyValueTensorInitializer(list(late.CARRIERS), list(late.CARRIERS.values()))
        self.carriers = tf.lookup.StaticHashTable(keys, 0.0)

    def logits(self, columns: dict[str, Any]) -> Any:
        checked = tf.debugging.assert_less(
            tf.where(tf.math.is_nan(columns["delay"]), 0.0, columns["delay"]), late.POISON_DELAY, "delay is poison"
        )
        with tf.control_dependencies([checked]):
            terms = [late.WEIGHTS[name] * columns[name] / late.SCALES[name] for name in late.WEIGHTS]
        return tf.add_n(terms) + late.BIAS


def save(folder: str) -> None:
    """Three signatures: one by name with a string, one that takes a matrix, one whose answer minds every bit of two
    vectors and a whole number."""
    model = Late()

    def bits(pixels: Any, embedding: Any, age: Any) -> dict[str, Any]:
        singles = tf.cast(tf.bitcast(pixels, tf.int32), tf.int64) * tf.range(1, 13, dtype=tf.int64)
        doubles = tf.bitcast(embedding, tf.int64) % late.PRIME * tf.range(1, 5, dtype=tf.int64)
        mixed = tf.reduce_sum(singles, 1) + tf.reduce_sum(doubles, 1) + age % late.PRIME
        return {"score": tf.cast(mixed % late.PRIME, tf.float64) / late.SCALE}

    def named(delay: Any, distance: Any, weekend: Any, carrier: Any) -> dict[str, Any]:
        columns = {"delay": delay, "distance": tf.cast(distance, tf.float32), "weekend": tf.cast(weekend, tf.float32)}
        return {"score": tf.sigmoid(model.logits(columns) + model.carriers.lookup(carrier))}

    def matrix(features: Any) -> dict[str, Any]:
        columns = dict(zip(late.WEIGHTS, tf.unstack(features, axis=1), strict=True))
        positive = tf.sigmoid(model.logits(columns))
        return {"probabilities": tf.stack([1 - positive, positive], axis=1), "logits": model.logits(columns)}

    types = {"delay": tf.float32, "distance": tf.int64, "weekend": tf.bool, "carrier": tf.string}
    specs = [tf.TensorSpec([None], kind, name=name) for name, kind in types.items()]
    shapes = {"pixels": ([None, 12], tf.float32), "embedding": ([None, 4], tf.float64), "age": ([None], tf.int64)}
    vectors = [tf.TensorSpec(*shape, name=name) for name, shape in shapes.items()]
    signatures = {
        "bits": tf.function(bits).get_concrete_function(*vectors),
        "serving_default": tf.function(named).get_concrete_function(*specs),
        "matrix": tf.function(matrix).get_concrete_function(tf.TensorSpec([None, 3], tf.float32, name="features")),
    }
    tf.saved_model.save(model, folder, signatures=signatures)


class Serving:
    """The loaded model, asked by name, version and signature."""

    def __init__(self, folder: str) -> None:
        self.model = tf.saved_model.load(folder)

    def check(self, name: str, version: int) -> None:
        if (name, version) != (NAME, VERSION):
            raise Refused(Code.NOT_FOUND, f"Servable not found for request: Specific({name}, {version})")

    def signature(self, name: str, version: int, signature: str) -> Any:
        self.check(name, version)
        if signature not in self.model.signatures:
            raise Refused(Code.INVALID_ARGUMENT, f'Serving signature name: "{signature}" not found in signature def')
        return self.model.signatures[signature]

    def run(self, signature: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        specs = signature.structured_input_signature[1]
        if set(specs) != set(inputs):
            raise Refused(Code.INVALID_ARGUMENT, f"input size does not match signature: {sorted(inputs)}")
        for name, tensor in inputs.items():
            if tensor.dtype != specs[name].dtype or not specs[name].shape.is_compatible_with(tensor.shape):
                raise Refused(Code.INVALID_ARGUMENT, f"input {name} is {tensor.dtype} {tensor.shape}")
        try:
            answer = signature(**inputs)
        except tf.errors.InvalidArgumentError as error:
            raise Refused(Code.INVALID_ARGUMENT, str(error.message)) from None
        return {name: value.numpy() for name, value in answer.items()}


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]  # has no types
    def __init__(self, serving: Serving) -> None:
        self.serving = serving

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802  # the service calls it so
        spec = request.model_spec
        try:
            signature = self.serving.signature(spec.name, spec.version.value, spec.signature_name)
            inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
            outputs = self.serving.run(signature, inputs)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        answer = predict_pb2.PredictResponse(model_spec=spec)
        for name in request.output_filter or outputs:
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return answer


class Status(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]  # has no types
    def __init__(self, serving: Serving) -> None:
        self.serving = serving

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802  # the service calls it so
        try:
            self.serving.check(request.model_spec.name, request.model_spec.version.value)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        answer = get_model_status_pb2.GetModelStatusResponse()
        answer.model_version_status.add(version=VERSION, state="AVAILABLE")
        return answer


class Rest(BaseHTTPRequestHandler):
    """`serving` is set on the class before it serves."""

    protocol_version = "HTTP/1.1"
    serving: Serving

    def do_GET(self) -> None:  # http.server calls it so
        self._answered(self._status, r"/v1/models/(\w+)/versions/(\d+)")

    def do_POST(self) -> None:  # http.server calls it so
        body = self.rfile.read(int(self.headers["Content-Length"]))
        pattern = r"/v1/models/(\w+)/versions/(\d+):predict"
        self._answered(lambda name, version: self._predict(name, version, body), pattern)

    def _answered(self, answer: Any, pattern: str) -> None:
        found = re.fullmatch(pattern, self.path)
        try:
            if found is None:
                raise Refused(Code.NOT_FOUND, f"Malformed request: {self.path}")
            status, document = 200, answer(found[1], int(found[2]))
        except Refused as refused:
            status, document = _STATUS[refused.code], {"error": str(refused)}
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _status(self, name: str, version: int) -> Any:
        self.serving.check(name, version)
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(version), "state": "AVAILABLE", "status": status}]}

    def _predict(self, name: str, version: int, body: bytes) -> Any:
        document = json.loads(body)
        signature = self.serving.signature(name, version, document.get("signature_name", "serving_default"))
        specs = signature.structured_input_signature[1]
        try:
            inputs = {key: tf.constant(value, specs[key].dtype) for key, value in document["inputs"].items()}
        except (KeyError, ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            raise Refused(Code.INVALID_ARGUMENT, f"cannot read inputs: {error}") from None
        outputs = {key: np.asarray(value).tolist() for key, value in self.serving.run(signature, inputs).items()}
        return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


def main(folder: Path, http_port: int, grpc_port: int) -> None:
    """Serve until killed; the REST port opens last."""
    model = str(folder / str(VERSION))
    if not Path(model).exists():
        save(model)
        files = (predict_pb2, get_model_status_pb2)
        (folder / "published.json").write_text(json.dumps(fields_of(*(file.DESCRIPTOR for file in files))))
    serving = Rest.serving = Serving(model)
    server = grpc.server(ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(serving), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(serving), server)
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    server.start()
    rest = ThreadingHTTPServer(("127.0.0.1", http_port), Rest)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
