"""`python -m benchmarks.swaps.swap`: what a swap to a model that loads for ten seconds costs, beside `RunInference`.

Batches come at a steady pace, and each is given to this job's scoring step and to the DoFn of Beam's `RunInference` at
the same time, both with the same trained model. In the middle of the stream a second version is released whose load
takes ten seconds of waiting, as a download does. Both steps are called directly, without a runner, each in its own
thread: of the runners at hand only Flink shows a running step a new side input. This job's step makes its records from
Arrow batches and emits scores and receipts; that of `RunInference` takes ready arrays and emits predictions. So compare
what the swap does to each, not one latency with the other.
"""

import argparse
import os
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.ml.inference.base import ModelMetadata, _RunInferenceDoFn
from apache_beam.ml.inference.sklearn_inference import SklearnModelHandlerNumpy
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.table import machine, markdown
from models import scorers
from models.admission.watcher import Progress, Watcher
from models.bundles.manifest import Manifest
from models.releases.release import AdmittedRelease
from models.releases.timeline import Timeline
from models.scorers.sklearn.scorer import SklearnScorer
from models.serving.choosing import ModelSource
from models.store.store import ModelStore
from schemas.batches import event_schema
from schemas.job import FeaturesSpec, ModelSpec
from schemas.times import now_us
from transforms.scoring.receipts import Stamp
from transforms.scoring.score_events import _ScoreFn

MODEL, LOAD_S, ROWS = "swapped", 10.0, 256
INPUTS = [{"name": f"x{number}", "type": "number"} for number in range(10)]
COLUMNS = tuple((str(entry["name"]), "number") for entry in INPUTS)
RANDOM = np.random.default_rng(0)


class SlowToLoad(SklearnScorer):
    """A trained model whose version `v2` needs ten seconds more to load, spent waiting."""

    kind = "slow"

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "SlowToLoad":
        if manifest.version == "v2":
            time.sleep(LOAD_S)
        loaded = super().load(folder, manifest)
        assert isinstance(loaded, cls)
        return loaded


class SlowHandler(SklearnModelHandlerNumpy):
    """The same delay for RunInference."""

    def load_model(self) -> Any:
        if self._model_uri.endswith("v2.pkl"):
            time.sleep(LOAD_S)
        return super().load_model()


@dataclass(frozen=True, slots=True)
class Answer:
    """One batch: when it was due, how long its answer took from then on, and which version gave it."""

    due_s: float
    latency_ms: float
    version: str


def paced(count: int, every_s: float, began_s: float, score: Callable[[int], str]) -> list[Answer]:
    """Score `count` batches, one every `every_s`; a batch that is kept waiting is late from when it was due."""
    answers = []
    for number in range(count):
        due_s = began_s + number * every_s
        time.sleep(max(due_s - time.perf_counter(), 0.0))
        version = score(number)
        answers.append(Answer(due_s - began_s, (time.perf_counter() - due_s) * 1000, version))
    return answers


class JobSide:
    """This job: a watcher that polls the store in its own thread, and the scoring step."""

    def __init__(self, url: str, poll_s: float) -> None:
        self.timeline: list[AdmittedRelease] = []
        self.visible_s: dict[int, float] = {}
        spec = ModelSpec(MODEL, url, int(poll_s * 1e6), allow_pickle=False, max_bundle_bytes=2**30)
        self._watcher, self._poll_s, self._over = Watcher(spec, dict(COLUMNS), poll_s / 2), poll_s, threading.Event()
        source = ModelSource(url, MODEL, False, waits=False, horizon_us=2 * 60 * 1_000_000)
        self._score = _ScoreFn(spec, source, Stamp("swap", "swap", FeaturesSpec((), (), 0, 1, 1)))
        self._score.setup()
        self._progress = Progress()
        self._poll()

    def watch(self) -> None:
        """Poll until `stop`."""
        while not self._over.wait(self._poll_s):
            self._poll()

    def stop(self) -> None:
        """End `watch`."""
        self._over.set()

    def _poll(self) -> None:
        polled = self._watcher.poll(self._progress, now_us())
        self._progress = polled.progress
        self.timeline = [*self.timeline, *polled.admitted]
        self.visible_s |= {entry.release.sequence: time.perf_counter() for entry in polled.admitted}

    def score(self, values: npt.NDArray[np.float64]) -> str:
        """Score one batch; returns the version that its receipts name."""
        outputs = list(self._score.process(batch_of(values), Timeline(self.timeline).entries))
        receipts = [output.value for output in outputs if getattr(output, "tag", "") == "receipts"]
        return str(receipts[-1].column("version")[0].as_py())


def batch_of(values: npt.NDArray[np.float64]) -> pa.RecordBatch:
    """Events with these inputs and the present time."""
    rows = len(values)
    base = [[str(n) for n in range(rows)], [now_us()] * rows, [None] * rows, [b""] * rows, [False] * rows]
    schema = event_schema(COLUMNS)
    arrays = [pa.array(column, field.type) for column, field in zip([*base, *values.T], schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def measure(work: Path, poll_s: float, every_s: float, lead_s: float, tail_s: float) -> dict[str, Any]:
    """Run the stream; returns the latencies of both before and during the swap, in milliseconds."""
    scorers.BUILT_IN["slow"] = "benchmarks.swaps.swap:SlowToLoad"
    store, inputs = prepared(work), RANDOM.normal(size=(ROWS, len(INPUTS)))
    release(store, "v1", 0)
    job, peer = JobSide(store.url, poll_s), _RunInferenceDoFn(SlowHandler(str(work / "v1.pkl")), time, None)
    peer.setup()
    path = {1: str(work / "v1.pkl"), 2: str(work / "v2.pkl")}

    def peer_scores(number: int) -> str:
        update = ModelMetadata(path[max(job.visible_s)], "v")
        return str(next(iter(peer.process(list(inputs), None, update))).model_id).removesuffix(".pkl")[-2:]

    count, began_s = round((lead_s + tail_s) / every_s), time.perf_counter() + 0.5
    found: dict[str, list[Answer]] = {}

    def run(name: str, score: Callable[[int], str]) -> None:
        found[name] = paced(count, every_s, began_s, score)

    threads = [
        threading.Thread(target=run, args=("job", lambda _: job.score(inputs))),
        threading.Thread(target=run, args=("peer", peer_scores)),
        threading.Thread(target=job.watch),
    ]
    for thread in threads:
        thread.start()
    time.sleep(max(began_s + lead_s - time.perf_counter(), 0))
    release(store, "v2", now_us() + int(2 * poll_s * 1e6))
    threads[0].join()
    threads[1].join()
    job.stop()
    return {name: summary(answers, lead_s, job.visible_s[2] - began_s) for name, answers in found.items()}


def summary(answers: Sequence[Answer], released_s: float, visible_s: float) -> dict[str, float]:
    """p99 and greatest latency before the release and from it until the new version has answered for five seconds."""
    first = next(one for one in answers if one.version == "v2")
    first_s, answered_s = first.due_s, first.due_s + first.latency_ms / 1000
    before = [one.latency_ms for one in answers if 3 <= one.due_s < released_s]
    during = [one.latency_ms for one in answers if released_s <= one.due_s < first_s + LOAD_S + 5]
    return {
        "before": float(np.percentile(before, 99)),
        "during": float(np.percentile(during, 99)),
        "worst": max(during),
        "batches": len(during),
        "visible_to_first_s": answered_s - visible_s,
    }


def prepared(work: Path) -> ModelStore:
    """Two versions of one trained model, as bundles in a store and as pickles."""
    import skops.io

    values = RANDOM.normal(size=(2_000, len(INPUTS)))
    model = HistGradientBoostingClassifier(max_iter=50).fit(values, values[:, 0] > 0)
    store, payload = ModelStore(str(work / "store"), MODEL), work / "payload"
    payload.mkdir()
    skops.io.dump(model, payload / "model.skops")
    for name in ("v1", "v2"):
        (work / f"{name}.pkl").write_bytes(pickle.dumps(model))
        training = {"trained_at": "2026-01-01T00:00:00Z"}
        manifest = {"version": name, "scorer": "slow", "inputs": INPUTS, "output": {"kind": "probability"}}
        store.publish(payload, {**manifest, "training": training, "created_by": "benchmark"})
    return store


def release(store: ModelStore, champion: str, effective_from_us: int) -> None:
    """Append a release."""
    store.append_release(champion=champion, effective_from_us=effective_from_us, by="benchmark")


def page(found: dict[str, Any], poll_s: float, every_s: float) -> str:
    """The results as markdown."""
    header = ["way", "p99 before, ms", "p99 during, ms", "during / before"]
    header += ["worst, ms", "batches", "visible → first score, s"]
    names = {"job": "this job", "peer": "RunInference"}
    rows = [
        [
            names[name], f"{one['before']:.1f}", f"{one['during']:.1f}", f"{one['during'] / one['before']:.2f} ×",
            f"{one['worst']:.1f}", f"{one['batches']:.0f}", f"{one['visible_to_first_s']:.1f}",
        ]
        for name, one in found.items()
    ]  # fmt: skip
    about = (
        f"Batches of {ROWS} rows every {every_s * 1000:.0f} ms; a poll every {poll_s:g} s. "
        f"Load average of the machine at the end: {os.getloadavg()[0]:.1f}."
    )
    aims = (
        "Aims: during / before ≤ 1.5 ×; visible → first score ≤ 2 polls. Latency counts from when a batch was due, "
        "a release is visible once it is admitted."
    )
    title, how = "# A swap to a model that loads for ten seconds", "Written by `python -m benchmarks.swaps.swap`."
    method = __doc__.split("\n\n", 1)[1].strip()
    return "\n\n".join([title, how, machine(), method, markdown(header, rows), about, aims]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swaps.swap")
    parser.add_argument("--poll", type=float, default=10.0, metavar="S", help="seconds between polls")
    parser.add_argument("--every", type=float, default=0.1, metavar="S", help="seconds between batches")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "SWAP.md", help="the page to write")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="halflife-swap-") as work:
        found = measure(Path(work), given.poll, given.every, lead_s=20.0, tail_s=3 * given.poll + 3 * LOAD_S)
    text = page(found, given.poll, given.every)
    given.out.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    # Beam and the scorers find this module by its name.
    from benchmarks.swaps import swap

    sys.exit(swap.main())
