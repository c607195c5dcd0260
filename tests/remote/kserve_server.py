"""Runs in KServe's environment: its model server with a model that halves the third feature."""

import sys
from typing import Any

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


if __name__ == "__main__":
    model = Late("late")
    model.load()
    ModelServer(http_port=int(sys.argv[1]), grpc_port=int(sys.argv[2]), workers=1).start([model])
