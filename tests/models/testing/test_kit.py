"""The kit finds what is wrong: scorers that break one rule of the contract each, and the check that says so."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from models import scorers
from models.bundles.inputs import as_floats
from models.bundles.manifest import Manifest
from models.scorers.base import Scorer
from models.testing import CHECKS, ContractBroken, Sample, Subject, build_subject, run_contract
from models.testing import checks as contract
from models.testing.memory import check_unloading_frees_memory

Floats = npt.NDArray[np.float64]


class HalvingScorer(Scorer):
    """score = delay · factor, with the factor in the payload. Keeps the contract."""

    kind = "halving"

    def __init__(self, factor: float) -> None:
        self.factor = factor

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "Scorer":
        [path] = [path for path in manifest.files if path.endswith(".txt")]
        return cls(float((folder / path).read_text()))

    def score(self, batch: pa.RecordBatch) -> Floats:
        return as_floats(batch.column("delay"), "delay") * self.factor


class Unordered(HalvingScorer):
    def score(self, batch: pa.RecordBatch) -> Floats:
        return np.sort(super().score(batch))


class Centred(HalvingScorer):
    """Its scores depend on the other rows of the batch."""

    def score(self, batch: pa.RecordBatch) -> Floats:
        scores = super().score(batch)
        return scores - (scores.mean() if len(scores) else 0.0)


class NoEmptyBatch(HalvingScorer):
    def score(self, batch: pa.RecordBatch) -> Floats:
        scores = super().score(batch)
        return scores if len(scores) else np.zeros(1)


class NullIsNan(HalvingScorer):
    def score(self, batch: pa.RecordBatch) -> Floats:
        return np.where(super().score(batch) == 21.5, np.nan, super().score(batch))


class NanIsZero(HalvingScorer):
    def score(self, batch: pa.RecordBatch) -> Floats:
        return np.nan_to_num(super().score(batch))


class Counting(HalvingScorer):
    calls = 0

    def score(self, batch: pa.RecordBatch) -> Floats:
        self.calls += 1
        return super().score(batch) + self.calls * 1e-9


class Shared(HalvingScorer):
    """One buffer for all threads; they meet at a barrier, so that the mix-up does not depend on chance."""

    meet = threading.Barrier(2)

    def score(self, batch: pa.RecordBatch) -> Floats:
        self.buffer = super().score(batch)
        if threading.current_thread() is not threading.main_thread() and batch.num_rows < 39:
            try:
                self.meet.wait(5)
            except threading.BrokenBarrierError:
                return self.buffer
        return self.buffer


class Kept(HalvingScorer):
    everyone: ClassVar[list[Scorer]] = []

    def __init__(self, factor: float) -> None:
        super().__init__(factor)
        self.everyone.append(self)


class Leaking(HalvingScorer):
    held: ClassVar[list[bytearray]] = []

    def __init__(self, factor: float) -> None:
        super().__init__(factor)
        # Much more than a large process gives back to the system meanwhile.
        self.held.append(bytearray(b"x" * (16 * 1024 * 1024)))


class LoadsAnything(HalvingScorer):
    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Scorer:
        try:
            return super().load(folder, manifest)
        except ValueError:
            return cls(1.0)


class IgnoresManifest(HalvingScorer):
    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Scorer:
        return cls(float((folder / "factor.txt").read_text()))


class ForgetsItsFactor(HalvingScorer):
    loads: ClassVar[list[float]] = []

    def __init__(self, factor: float) -> None:
        super().__init__(factor + len(self.loads))
        self.loads.append(factor)


class ClosesAll(HalvingScorer):
    open_ones: ClassVar[set[int]] = set()

    def __init__(self, factor: float) -> None:
        super().__init__(factor)
        self.open_ones.add(id(self))

    def close(self) -> None:
        self.open_ones.clear()

    def score(self, batch: pa.RecordBatch) -> Floats:
        return super().score(batch) if id(self) in self.open_ones else np.full(batch.num_rows, 0.0)


class Misnamed(HalvingScorer):
    kind = "doubling"


BROKEN: dict[type[Scorer], Callable[..., None]] = {
    Unordered: contract.check_length_and_order,
    Centred: contract.check_batch_of_one_equals_batch_of_many,
    NoEmptyBatch: contract.check_empty_batch,
    NullIsNan: contract.check_nulls,
    NanIsZero: contract.check_nan_is_no_score,
    Counting: contract.check_same_batch_scores_the_same,
    Shared: contract.check_threads,
    ForgetsItsFactor: contract.check_pickling,
    ClosesAll: contract.check_reloading,
    Kept: check_unloading_frees_memory,
    Leaking: check_unloading_frees_memory,
    LoadsAnything: contract.check_wrong_file,
    IgnoresManifest: contract.check_absent_file,
    Misnamed: contract.check_kind_is_installed,
}


def make_bundle(folder: Path, factor: str = "0.5") -> Sample:
    folder.mkdir(parents=True)
    (folder / "factor.txt").write_text(factor)
    manifest: dict[str, Any] = {
        "inputs": [{"name": "delay", "type": "number", "default": 43.0}],
        "output": {"kind": "regression"},
    }
    return Sample(manifest, pa.RecordBatch.from_pydict({"delay": [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0]}))


def make_nan(folder: Path) -> Sample:
    return make_bundle(folder, "nan")


def subject_of(kind: type[Scorer], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Subject:
    monkeypatch.setitem(scorers.BUILT_IN, "halving", f"{__name__}:{kind.__name__}")
    return build_subject("halving", make_bundle, folder / "bundle", make_nan=make_nan)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda kind: kind.__name__)
def test_check_finds_the_scorer_that_breaks_its_rule(
    broken: type[Scorer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    subject = subject_of(broken, monkeypatch, tmp_path)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(ContractBroken) as caught:
        BROKEN[broken](subject, tmp_path / "scratch")
    Leaking.held.clear()
    assert "\n" not in str(caught.value)


def test_scorer_that_keeps_the_contract_passes_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scorers.BUILT_IN, "halving", f"{__name__}:HalvingScorer")
    held = run_contract("halving", make_bundle, make_nan=make_nan)
    assert held == [f"halving:{check.__name__}" for check in CHECKS]


def test_module_that_imports_its_library_at_the_top_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(HalvingScorer, "requires", ("pyarrow",))
    subject = subject_of(HalvingScorer, monkeypatch, tmp_path)
    with pytest.raises(ContractBroken, match="imports or says: pyarrow"):
        contract.check_library_is_imported_by_load_only(subject, tmp_path)


def test_kit_works_without_pytest(root: Path) -> None:
    import subprocess
    import sys

    program = "import sys, models.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
