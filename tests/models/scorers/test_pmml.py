"""Kind pmml: the contract with PMML4S on a real Java virtual machine, and what is refused beyond it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.scorers import Scorer, WillNotLoad, load_scorer
from models.serving.cache import LoadedModel
from models.testing import Sample, contract_tests
from models.testing.subject import write_bundle
from tests.models.bundle_folders import INPUTS, document
from tests.models.scorers.samples import delays, prepared, sample
from transforms.scoring.scoring import score_rows

FIELDS = """
    <DataField name="delay" optype="continuous" dataType="double"/>
    <DataField name="distance" optype="continuous" dataType="integer"/>
    <DataField name="weekend" optype="continuous" dataType="double"/>
    <DataField name="carrier" optype="categorical" dataType="string"/>"""
MINED = """<MiningField name="late" usageType="target"/>
    <MiningField name="delay"/><MiningField name="distance"/><MiningField name="weekend"/>
    <MiningField name="carrier" invalidValueTreatment="asIs"/>"""
TERMS = """
    <NumericPredictor name="delay" coefficient="0.05"/><NumericPredictor name="distance" coefficient="-0.001"/>
    <NumericPredictor name="weekend" coefficient="0.4"/>
    <CategoricalPredictor name="carrier" value="AA" coefficient="0.5"/>
    <CategoricalPredictor name="carrier" value="DL" coefficient="-0.7"/>"""
LATE = {"kind": "probability", "positive": "late"}


def pmml(fields: str, model: str, target: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header/>'
        f"<DataDictionary>{target}{fields}</DataDictionary>{model}</PMML>"
    )


def classification(mined: str = MINED) -> str:
    """A logistic regression on numbers and a string, with the negative class first."""
    values = '<Value value="early"/><Value value="late"/>'
    target = f'<DataField name="late" optype="categorical" dataType="string">{values}</DataField>'
    model = (
        '<RegressionModel functionName="classification" normalizationMethod="logit">'
        f"<MiningSchema>{mined}</MiningSchema>"
        f'<RegressionTable targetCategory="late" intercept="-1">{TERMS}</RegressionTable>'
        '<RegressionTable targetCategory="early" intercept="0"/></RegressionModel>'
    )
    return pmml(FIELDS, model, target)


def regression() -> str:
    """A tree on one number, which gives a missing one to its last branch."""
    target = '<DataField name="late" optype="continuous" dataType="double"/>'
    model = """
    <TreeModel functionName="regression" missingValueStrategy="defaultChild" splitCharacteristic="binarySplit">
      <MiningSchema><MiningField name="late" usageType="target"/><MiningField name="delay"/></MiningSchema>
      <Node id="0" score="2" defaultChild="2"><True/>
        <Node id="1" score="1.5"><SimplePredicate field="delay" operator="lessOrEqual" value="10"/></Node>
        <Node id="2" score="7.25"><SimplePredicate field="delay" operator="greaterThan" value="10"/></Node>
      </Node></TreeModel>"""
    return pmml('<DataField name="delay" optype="continuous" dataType="double"/>', model, target)


def write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pmml").write_text(text, encoding="utf-8")


def logistic(folder: Path) -> dict[str, Any]:
    write(folder, classification())
    return document("pmml", inputs=INPUTS, output=LATE)


def labels(folder: Path) -> dict[str, Any]:
    write(folder, classification())
    return document("pmml", inputs=INPUTS, output={"kind": "class"})


def tree(folder: Path) -> dict[str, Any]:
    write(folder, regression())
    inputs = [{"name": "delay", "type": "number", "nullable": True}]
    return document("pmml", inputs=inputs, output={"kind": "regression"})


def unanswered(folder: Path) -> Sample:
    """The evaluator answers a missing value with nothing where the model has no rule for it."""
    target = '<DataField name="late" optype="continuous" dataType="double"/>'
    model = (
        '<RegressionModel functionName="regression"><MiningSchema><MiningField name="late" usageType="target"/>'
        '<MiningField name="delay"/></MiningSchema><RegressionTable intercept="1">'
        '<NumericPredictor name="delay" coefficient="2"/></RegressionTable></RegressionModel>'
    )
    write(folder, pmml('<DataField name="delay" optype="continuous" dataType="double"/>', model, target))
    manifest, _ = delays("regression", 1.0)
    inputs = [{"name": "delay", "type": "number", "nullable": True}]
    return Sample({**manifest, "inputs": inputs}, pa.RecordBatch.from_pydict({"delay": pa.nulls(2, pa.float64())}))


test_logistic = contract_tests("pmml", sample(logistic), label="pmml-logistic", make_nan=unanswered)
test_labels = contract_tests("pmml", sample(labels), label="pmml-labels")
test_tree = contract_tests("pmml", sample(tree), label="pmml-tree")


def loaded(folder: Path, text: str, **changes: Any) -> Scorer:
    write(folder, text)
    manifest = write_bundle("pmml", folder, document("pmml", **{"inputs": INPUTS, "output": LATE, **changes}))
    return load_scorer("pmml", folder, manifest)


def test_scores_follow_the_formula(tmp_path: Path) -> None:
    rows = prepared(INPUTS, 30)
    z = [
        -1 + 0.05 * row["delay"] - 0.001 * row["distance"] + 0.4 * row["weekend"]
        + {"AA": 0.5, "DL": -0.7}.get(row["carrier"], 0.0)
        for row in rows.to_pylist()
    ]
    found = loaded(tmp_path, classification()).score(rows)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.array(z))), rtol=1e-12)


def test_the_other_class_has_the_rest(tmp_path: Path) -> None:
    rows = prepared(INPUTS, 9)
    early = loaded(tmp_path, classification(), output={"kind": "probability", "positive": "early"}).score(rows)
    np.testing.assert_allclose(early + loaded(tmp_path, classification()).score(rows), 1.0)


def test_null_goes_where_the_tree_says(tmp_path: Path) -> None:
    inputs = [{"name": "delay", "type": "number", "nullable": True}]
    scorer = loaded(tmp_path, regression(), inputs=inputs, output={"kind": "regression"})
    rows = pa.RecordBatch.from_pydict({"delay": pa.array([3.0, 11.0, None])})
    assert scorer.score(rows).tolist() == [1.5, 7.25, 7.25]


def test_document_type_is_refused_before_an_entity_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("-1")
    declared = f'?>\n<!DOCTYPE PMML [<!ENTITY secret SYSTEM "{secret.as_uri()}">]>'
    with pytest.raises(WillNotLoad, match="the file declares a document type; expected: PMML without one"):
        loaded(tmp_path, classification().replace("?>", declared, 1))


def test_row_without_an_answer_is_no_score_and_leaves_the_others(tmp_path: Path) -> None:
    sample_of = unanswered(tmp_path)
    manifest = write_bundle("pmml", tmp_path, sample_of.manifest)
    model = LoadedModel(manifest, load_scorer("pmml", tmp_path, manifest), 0.0, 0)
    rows = pa.RecordBatch.from_pydict({"delay": pa.array([1.0, None, 3.0])})
    scored = score_rows(model, rows)
    assert scored.scores.tolist() == [3.0, 7.0]
    failure = ("NotFinite", "the scorer answered nan; expected: a finite number")
    assert (scored.failed_rows.tolist(), scored.failures) == ([1], [failure])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": {"kind": "probability"}}, "output.positive is null; allowed: early, late"),
        ({"output": {"kind": "probability", "positive": "x"}}, "expected: one with the probability of 'x'"),
        ({"inputs": INPUTS[:3]}, "inputs delay, distance, weekend; expected: the fields delay, .*, carrier"),
        ({"parameters": {"output": "none"}}, "parameters.output 'none'; allowed: predicted_late"),
        (
            {"inputs": [INPUTS[0], {"name": "distance", "type": "number"}, *INPUTS[2:]]},
            "'distance' is a number for a field of integer; allowed: double",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WillNotLoad, match=message):
        loaded(tmp_path, classification(), **changes)


def test_all_models_share_one_virtual_machine(tmp_path: Path) -> None:
    from pypmml.base import PMMLContext

    scorers = [loaded(tmp_path / "a", classification()), loaded(tmp_path / "b", classification())]
    first = PMMLContext._gateway
    scorers[0].close()
    assert scorers[1].score(prepared(INPUTS, 3)).shape == (3,)
    assert PMMLContext._gateway is first
