"""Fifty real models one after another, as a stream meets them, leave the memory of the process flat."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from models.releases.release import AdmittedRelease, Release
from models.releases.timeline import Timeline
from models.serving.cache import ModelCache, ModelHandle
from models.serving.choosing import ModelSource
from models.serving.serving import Serving
from models.store.store import ModelStore
from tests.models.bundle_folders import NUMBERS, document, flights
from tests.models.loading.gated import MODEL, SECOND, START, times

VERSIONS = 50
WARM_UP = 20
COMPONENTS = 400
MODEL_BYTES = COMPONENTS * COMPONENTS * 8
HOUR = 3_600


def train(folder: Path) -> None:
    """A kernel approximation whose matrix takes `MODEL_BYTES` once loaded, and a regression on it."""
    batch = flights(2 * COMPONENTS).select([entry["name"] for entry in NUMBERS])
    matrix = np.column_stack([np.asarray(column, np.float64) for column in batch.columns]) / 1000
    model = make_pipeline(Nystroem(n_components=COMPONENTS, random_state=0), LogisticRegression())
    folder.mkdir()
    skops.io.dump(model.fit(matrix, matrix[:, 0] > 0.01), folder / "model.skops")


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def sizes_over_fifty_models(folder: Path) -> list[int]:
    """Resident bytes after each of the models was loaded and the one before it was released."""
    store, cache = ModelStore(str(folder / "store"), MODEL), ModelCache()
    train(folder / "payload")
    serving = Serving(ModelSource(store.url, MODEL, False, waits=False, horizon_us=SECOND), cache)
    timeline: list[AdmittedRelease] = []
    sizes: list[int] = []
    for number in range(1, VERSIONS + 1):
        payload = document("sklearn", version=f"v{number}", inputs=NUMBERS)
        digest = store.publish(folder / "payload", payload).digest
        at_us = START + number * HOUR * SECOND
        timeline.append(AdmittedRelease(Release(number, MODEL, at_us, f"v{number}"), {f"v{number}": digest}))
        assert cache.prefetch(ModelHandle(store.url, MODEL, f"v{number}", digest)).wait(60)
        plan = serving.plan(Timeline(timeline), times(number * HOUR + 10))
        assert list(plan.models) == [digest]
        del plan
        sizes.append(resident_bytes())
    assert len(cache.retain([])) == 1
    return sizes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_fifty_models_one_after_another_leave_memory_flat(root: Path, tmp_path: Path) -> None:
    # In a process of its own: leftovers of other tests change the size of this one.
    command = [sys.executable, "-m", "tests.models.loading.test_memory", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    assert len(sizes) == VERSIONS
    grown = np.diff(sizes[WARM_UP:])
    # Without the largest increase: a thread that creates an arena takes memory once, and more than a model does.
    assert grown.sum() - grown.max() < 10 * MODEL_BYTES  # if all thirty were kept, they would take three times that


if __name__ == "__main__":
    print(json.dumps(sizes_over_fifty_models(Path(sys.argv[1]))))
