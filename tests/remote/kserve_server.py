"""Runs in KServe's environment: its model server with a model that halves the third feature."""

import sys
from typing import Any

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
    model = Late("late")
    model.load()
    ModelServer(http_port=int(sys.argv[1]), grpc_port=int(sys.argv[2]), workers=1).start([model])
