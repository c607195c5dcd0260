"""Runs in KServe's environment: its model server with a model that halves the third feature, one of every
type, and one of vectors."""

import sys
from typing import Any

import numpy as np
import uvicorn
from grpc import aio
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # type: ignore[import-not-found]
from kserve.errors import InvalidInput  # type: ignore[import-not-found]  # only in that environment


class Late(Model):  # type: ignore[misc]  # has no types here
    """Refuses a request with a delay of a million minutes or more."""

    def load(self) -> bool:
        """Nothing to load."""
        self.ready = True
        return True

    def predict(self, payload: InferRequest, headers: Any = None, response_headers: Any = None) -> InferResponse:
        """One FP64 tensor of shape (n, 3) in, one of shape (n) out."""
        features = payload.inputs[0].as_numpy()
        if (features[:, 0] >= 1e6).any():
            raise InvalidInput("delay is poison")
        score = InferOutput(name="score", shape=[len(features)], datatype="FP64")
        score.set_data_from_numpy(features[:, 2] / 2, binary_data=False)
        return InferResponse(response_id=payload.id or "", model_name=self.name, infer_outputs=[score])


class Strain(Model):  # type: ignore[misc]  # has no types here
    """Takes a tensor of each type by name; its answer minds every value, the last digit of an integer too."""

    TYPES = {"delay": "FP64", "distance": "INT64", "weekend": "BOOL", "carrier": "BYTES"}  # noqa: RUF012  # as KServe's

    def load(self) -> bool:
        """Nothing to load."""
        self.ready = True
        return True

    async def get_input_types(self) -> list[dict[str, Any]]:
        """For the metadata."""
        return [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in self.TYPES.items()]

    def predict(self, payload: InferRequest, headers: Any = None, response_headers: Any = None) -> InferResponse:
        """Tensors of shape (n) in, the FP64 tensors `score` of shape (n) and `both` of shape (n, 2) out."""
        columns = {each.name: each.as_numpy() for each in payload.inputs}
        delay = columns["delay"]
        texts = [each.decode() if isinstance(each, bytes) else str(each) for each in columns["carrier"]]
        score = np.where(np.isnan(delay), 5.0, np.arctan(delay / 50)) + columns["distance"] % 1000 / 100
        score += 2 * columns["weekend"] + [len(text) % 7 + 3 * (text == "DL") for text in texts]
        outputs = []
        for name, values in (("score", score), ("both", np.column_stack((-score, 10 * score)))):
            output = InferOutput(name=name, shape=list(values.shape), datatype="FP64")
            output.set_data_from_numpy(values, binary_data=False)
            outputs.append(output)
        return InferResponse(response_id=payload.id or "", model_name=self.name, infer_outputs=outputs)


class Bits(Model):  # type: ignore[misc]  # has no types here
    """The model of vectors of tests/remote/servers/late.py."""

    TYPES = {"pixels": "FP32", "embedding": "FP64", "age": "INT64"}  # noqa: RUF012  # as KServe's

    def load(self) -> bool:
        """Nothing to load."""
        self.ready = True
        return True

    async def get_input_types(self) -> list[dict[str, Any]]:
        """For the metadata."""
        sizes = {"pixels": [-1, 12], "embedding": [-1, 4], "age": [-1]}
        return [{"name": name, "datatype": kind, "shape": sizes[name]} for name, kind in self.TYPES.items()]

    def predict(self, payload: InferRequest, headers: Any = None, response_headers: Any = None) -> InferResponse:
        """Tensors of shape (n, 12), (n, 4) and (n) in, one of shape (n) out."""
        columns = {each.name: np.ascontiguousarray(each.as_numpy()) for each in payload.inputs}
        singles = columns["pixels"].view(np.int32).astype(np.int64) * np.arange(1, 13)
        doubles = columns["embedding"].view(np.int64) % 1_000_003 * np.arange(1, 5)
        mixed = singles.sum(1) + doubles.sum(1) + columns["age"] % 1_000_003
        score = InferOutput(name="score", shape=[len(mixed)], datatype="FP64")
        score.set_data_from_numpy(mixed % 1_000_003 / 2**20, binary_data=False)
        return InferResponse(response_id=payload.id or "", model_name=self.name, infer_outputs=[score])


def listen_on_loopback() -> None:
    """KServe's servers listen on all interfaces and take no address: theirs is replaced."""
    config: Any = uvicorn.Config
    server: Any = type(aio.server())  # the class of what it makes, which is not public
    made, bound = config.__init__, server.add_insecure_port

    def configured(self: Any, *given: Any, **options: Any) -> None:
        made(self, *given, **{**options, "host": "127.0.0.1"})

    def bind(self: Any, address: str) -> int:
        return int(bound(self, address.replace("[::]", "127.0.0.1")))

    config.__init__, server.add_insecure_port = configured, bind


if __name__ == "__main__":
    listen_on_loopback()
    models: list[Any] = [Late("late"), Strain("strain"), Bits("bits")]
    for model in models:
        model.load()
    ModelServer(http_port=int(sys.argv[1]), grpc_port=int(sys.argv[2]), workers=1).start(models)
