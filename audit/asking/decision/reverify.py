"""Whether a receipt's score is what its version answers to its features today."""

import struct
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from models.bundles.recorded import NotRecorded, recorded_inputs
from models.errors import BundleRefused, NotScored, StoreError, one_line
from models.scorers.asking import ask
from models.serving.cache import LoadedModel, LoadFailed, ModelCache, ModelHandle
from models.store.store import ModelStore

_TOLERANCE = 1e-6


class Verification(NamedTuple):
    """`equal`: `to the bit`, `within tolerance`, `no`, or `not known`, where it could not be tried, with the `detail`;
    `score`: what the version answers now; `tolerance`: absolute; seconds of loading and of scoring."""

    equal: str
    score: float | None = None
    tolerance: float | None = None
    detail: str = ""
    load_s: float = 0.0
    score_s: float = 0.0

    @property
    def verified(self) -> bool | None:
        """Whether the score is confirmed; None where that is not known."""
        return {"to the bit": True, "within tolerance": True, "no": False}.get(self.equal)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**self._asdict(), "load_s": round(self.load_s, 3), "score_s": round(self.score_s, 3)}


def loaded_version(store: ModelStore, version: str, digest: str, allow_pickle: bool) -> LoadedModel:
    """The version with that digest, verified file by file.

    Raises:
        LoadFailed: the store does not have it with this digest, or it cannot be loaded here.
    """
    return ModelHandle(store.url, store.model, version, digest, allow_pickle).load(ModelCache())


def verification(receipt: Mapping[str, Any], model: LoadedModel | LoadFailed) -> Verification:
    """Scores the receipt's features again by the version, or by why it could not be loaded says so."""
    if isinstance(model, LoadFailed):
        altered = model.reason == "wrong_digest"
        return Verification("no" if altered else "not known", detail=f"{model.reason}: {model.detail}")
    began = time.perf_counter()
    golden = model.manifest.golden
    tolerance = _TOLERANCE if golden is None else golden.tolerance
    try:
        [score] = ask(model.scorer, recorded_inputs([receipt["features"]], model.manifest.inputs)).tolist()
    except (NotScored, NotRecorded) as error:
        return Verification("no", tolerance=tolerance, detail=one_line(error), load_s=model.seconds)
    seconds = time.perf_counter() - began
    found = Verification("no", score, tolerance, "", model.seconds, seconds)
    if struct.pack("<d", score) == struct.pack("<d", receipt["score"]):
        return found._replace(equal="to the bit")
    if abs(score - receipt["score"]) <= tolerance:
        return found._replace(equal="within tolerance")
    return found._replace(detail=f"the receipt says {receipt['score']!r}, the version answers {score!r}")


def try_to_load(store: ModelStore, receipt: Mapping[str, Any], allow_pickle: bool) -> LoadedModel | LoadFailed:
    """The version that scored a receipt, or why there is none now."""
    version, digest = receipt["version"], receipt["digest"]
    try:
        return loaded_version(store, version, digest, allow_pickle)
    except LoadFailed as failed:
        return failed
    except (BundleRefused, StoreError) as error:
        return LoadFailed(version, digest, "unavailable", one_line(error))
