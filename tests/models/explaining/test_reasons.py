"""Reasons of receipts: what they add up to, which are named, in which words, and what is refused."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.recorded import NotRecorded
from models.explaining.explainer import explainer_of
from models.explaining.reasons import NotExplained, greatest, reasons_of
from models.profiles import build_profile
from models.scorers import load_scorer
from models.scorers.contributions import Contributions
from models.scorers.linear import LinearScorer
from models.serving.cache import LoadedModel
from models.testing import ContractBroken, Sample
from models.testing.explaining import check_contributions_add_up, check_contributions_explain_differences
from models.testing.subject import Subject, build_subject
from tests.models.bundle_folders import INPUTS, LINEAR, document, flights, with_golden, write_bundle

ROWS = flights(8)
WORDS = {
    "delay": {"code": "D1", "positive": "it left late", "negative": "it left on time"},
    "distance": {"suppress": True},
}


def receipts(rows: pa.RecordBatch = ROWS) -> list[dict[str, Any]]:
    return [{"score_id": f"{row:032x}", "features": features} for row, features in enumerate(rows.to_pylist())]


def linear(folder: Path, **changes: Any) -> LoadedModel:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = write_bundle(folder, with_golden(folder, document(**changes)))
    return LoadedModel(manifest, load_scorer("linear", folder, manifest), 0.0, 0, folder=folder)


class _SampledScorer(LinearScorer):
    """The linear scorer without a method of its own."""

    def contributions(self, batch: pa.RecordBatch) -> Any:
        return None


class _WrongScorer(LinearScorer):
    """One whose contributions are those of a model with other coefficients."""

    wrong: ClassVar[float] = 1.01

    def contributions(self, batch: pa.RecordBatch) -> Contributions:
        found = super().contributions(batch)
        return replace(found, values=found.values * self.wrong)


def as_kind(model: LoadedModel, kind: type[LinearScorer]) -> LoadedModel:
    assert model.folder is not None
    return replace(model, scorer=kind.load(model.folder, model.manifest))


def test_linear_reasons_are_the_terms_against_the_means_of_the_profile(tmp_path: Path) -> None:
    profile = build_profile(flights(200), [entry["name"] for entry in INPUTS])
    model = replace(linear(tmp_path), profile=profile)
    delay = next(column for column in profile.columns if column.name == "delay")
    row = ROWS.slice(2, 1).to_pylist()[0]
    reasons = reasons_of(model, receipts(ROWS.slice(2, 1)))[0]
    found = {each.feature: each.contribution for each in reasons.contributions}
    assert found["delay"] == pytest.approx(0.8 * (row["delay"] - delay.mean) / 20)  # type: ignore[union-attr]
    assert reasons.scale == "log_odds"
    assert reasons.base_value + sum(found.values()) == pytest.approx(reasons.margin)


def test_reasons_come_in_the_bundles_words_and_suppressed_inputs_never(tmp_path: Path) -> None:
    model = linear(tmp_path, reasons=WORDS, format=2)
    for reasons in reasons_of(model, receipts()):
        named = {each.feature: each for each in reasons.contributions}
        assert "distance" not in named
        text = "it left late" if named["delay"].contribution > 0 else "it left on time"
        assert (named["delay"].code, named["delay"].text) == ("D1", text)
        assert abs(reasons.contributions[0].contribution) >= abs(reasons.contributions[-1].contribution)
    assert all(len(each.contributions) <= 1 for each in reasons_of(model, receipts(), top=1))


def test_sampling_gives_the_exact_values_of_an_additive_margin(tmp_path: Path) -> None:
    terms = {**LINEAR, "link": "identity"}
    exact = linear(tmp_path / "a", linear=terms, output={"kind": "regression"})
    sampled = as_kind(exact, _SampledScorer)
    assert exact.folder is not None
    background = explainer_of(sampled)._sampled
    assert background is not None
    of_background = exact.scorer.contributions(background._background)
    assert of_background is not None
    expected = exact.scorer.contributions(ROWS)
    assert expected is not None
    found = explainer_of(sampled).explain(ROWS, [f"{row}" for row in range(8)]).contributions
    np.testing.assert_allclose(found.values, expected.values - of_background.values.mean(axis=0), atol=1e-9)
    assert found.off().max() < 1e-12


def test_sampling_repeats_for_a_score_and_adds_up_for_a_probability(tmp_path: Path) -> None:
    model = as_kind(linear(tmp_path), _SampledScorer)
    first, second = reasons_of(model, receipts()), reasons_of(model, receipts())
    assert first == second
    scores = model.score(ROWS)
    for reasons, score in zip(first, scores.tolist(), strict=True):
        total = sum(each.contribution for each in reasons.contributions)
        assert reasons.base_value + total == pytest.approx(score, abs=1e-12)


def test_contributions_that_do_not_add_up_are_no_reasons(tmp_path: Path) -> None:
    model = as_kind(linear(tmp_path), _WrongScorer)
    with pytest.raises(NotExplained, match="contributions do not add up to the log_odds"):
        reasons_of(model, receipts())


def subject_of(kind: type[LinearScorer], folder: Path) -> Subject:
    subject = build_subject("linear", lambda folder: Sample(document(), flights(20)), folder)
    subject.__dict__["scorer"] = kind.load(subject.folder, subject.manifest)
    return subject


class _UpsideDown(LinearScorer):
    """One that explains the other class."""

    def contributions(self, batch: pa.RecordBatch) -> Contributions:
        return super().contributions(batch).times(-1.0)


class _Constant(LinearScorer):
    """One that puts everything on the first input, the same for each row beside the base."""

    def contributions(self, batch: pa.RecordBatch) -> Contributions:
        found = super().contributions(batch)
        return replace(found, base=found.margins, values=np.zeros_like(found.values), separate=False)


@pytest.mark.parametrize(
    ("kind", "check", "said"),
    [
        (_WrongScorer, check_contributions_add_up, "do not add up"),
        (_UpsideDown, check_contributions_add_up, "which is not the log_odds of the scores"),
        (_Constant, check_contributions_explain_differences, "have the same contributions"),
    ],
)
def test_a_wrong_explainer_fails_the_contract(tmp_path: Path, kind: Any, check: Any, said: str) -> None:
    check(subject_of(LinearScorer, tmp_path / "right"), tmp_path)
    with pytest.raises(ContractBroken, match=said):
        check(subject_of(kind, tmp_path / "wrong"), tmp_path)


def test_a_batch_of_receipts_reads_as_their_mappings(tmp_path: Path) -> None:
    from schemas.records import arrow_schema
    from transforms.scoring.scoring import features_map

    model, rows = linear(tmp_path), receipts()
    schema = pa.schema([arrow_schema("Receipt").field(name) for name in ("score_id", "features")])
    ids = pa.array([row["score_id"] for row in rows])
    batch = pa.RecordBatch.from_arrays([ids, features_map(ROWS)], schema=schema)
    assert reasons_of(model, batch) == reasons_of(model, rows)


def test_receipts_of_another_version_or_without_features_are_refused(tmp_path: Path) -> None:
    model, row = linear(tmp_path), receipts()[0]
    with pytest.raises(NotRecorded, match="with digest 0000; expected: "):
        reasons_of(model, [{**row, "digest": "0000"}])
    with pytest.raises(NotRecorded, match="has no features"):
        reasons_of(model, [{**row, "features": None}])


def test_a_bundle_without_golden_records_and_profile_says_so(tmp_path: Path) -> None:
    model = replace(as_kind(linear(tmp_path), _SampledScorer), folder=None)
    with pytest.raises(NotExplained, match="neither golden records nor a profile"):
        reasons_of(model, receipts())
    profiled = replace(model, profile=build_profile(flights(50), [entry["name"] for entry in INPUTS]))
    assert reasons_of(profiled, receipts())[0].contributions


def test_what_is_only_rounding_is_no_reason() -> None:
    manifest = SimpleNamespace(reasons={}, inputs=[SimpleNamespace(name=name) for name in "abc"])
    values = np.array([[700.0, 1e-15, -2e-13], [0.0, 0.0, 0.0], [1e-15, 0.0, -2e-15]])
    found = SimpleNamespace(values=values)
    assert greatest(found, manifest, 3).tolist() == [[0, -1, -1], [-1, -1, -1], [2, 0, -1]]  # type: ignore[arg-type]
