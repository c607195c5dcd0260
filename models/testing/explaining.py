"""The part of the contract that is about reasons."""

from pathlib import Path

import numpy as np

from models.explaining.explainer import TOLERANCE, Explainer
from models.scorers.contributions import Contributions, Floats, margins_of
from models.serving.cache import LoadedModel
from models.testing.expectations import expect
from models.testing.subject import Subject

_ROWS = 4
_SCORES = 48  # for each of these rows, where contributions are sampled: what holds, holds for few
_ROUNDED = 1e-3  # of the log-odds of a float32, beside its size


def check_contributions_add_up(subject: Subject, scratch: Path) -> None:
    """What each input added makes up the score minus the base value, on the model's own scale; and it is the score."""
    scores, found = _explained(subject)
    worst = float(found.off().max())
    expect(worst <= TOLERANCE, f"contributions miss the {found.scale} by {worst:.3g}; expected: {TOLERANCE:g} or less")
    wanted = margins_of(scores, found.scale)
    if wanted is not None:
        known = np.isfinite(wanted)
        off = np.abs(found.margins[known] - wanted[known]) / np.maximum(1.0, np.abs(wanted[known]))
        said = f"contributions add up to {found.margins.tolist()}, which is not the {found.scale} of the scores"
        expect(bool((off <= _ROUNDED).all()), f"{said}; expected: {wanted.tolist()}")


def check_contributions_explain_differences(subject: Subject, scratch: Path) -> None:
    """Rows with different scores have different contributions, and a row's do not depend on the rows beside it."""
    scores, found = _explained(subject)
    for row in range(1, _ROWS):
        if abs(scores[row] - scores[0]) > TOLERANCE:
            same = np.allclose(found.values[row], found.values[0], rtol=0, atol=1e-12)
            expect(not same, f"rows 0 and {row} score differently and have the same contributions")
    _, alone = _explained(subject, 1)
    off = np.abs(alone.values[0] - found.values[0]).max() / max(1.0, np.abs(found.values[0]).max())
    expect(off <= TOLERANCE, f"alone a row's contributions differ by {off:.3g}; expected: the same")


def check_contributions_repeat(subject: Subject, scratch: Path) -> None:
    """The same score has the same contributions each time, also from another explainer."""
    _, first = _explained(subject)
    _, second = _explained(subject)
    same = np.allclose(first.values, second.values, rtol=0, atol=max(subject.tolerance, 1e-9), equal_nan=True)
    expect(same, "the same rows have other contributions the second time")


def _explained(subject: Subject, rows: int = _ROWS) -> tuple[Floats, Contributions]:
    batch = subject.batch(rows)
    model = LoadedModel(subject.manifest, subject.scorer, 0.0, 0, folder=subject.folder)
    found, failures = Explainer(model, _SCORES).explain(batch, [f"score {row}" for row in range(rows)])
    expect(not failures, f"not explained: {failures.get(min(failures, default=0))}")
    return subject.scorer.score(batch), found
