"""Kind pmml: what the evaluator answers of a record alone, whatever its fields and its neighbours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.scorers import Scorer, load_scorer
from models.testing.subject import write_bundle
from schemas.columns import ARROW_TYPES
from tests.models.bundle_folders import document

FIELDS = {"age": "integer", "income": "number", "member": "boolean", "city": "string"}
ROWS: list[dict[str, Any]] = [
    {"age": 40, "income": 1.5, "member": True, "city": "Ulm"},
    {"age": None, "income": 1.5, "member": False, "city": "Bonn"},
    {"age": 10, "income": None, "member": None, "city": "Ulm"},
    {"age": 17, "income": -2.0, "member": False, "city": None},
    {"age": 2**53 + 1, "income": 1e308, "member": True, "city": "x" * 100_000},
    {"age": -1, "income": 9.75, "member": True, "city": 'Bonn "quoted" \\ ü'},
    {"age": None, "income": None, "member": None, "city": None},
]


def pmml(target: str, model: str) -> str:
    fields = '<DataField name="age" dataType="integer" optype="continuous"/>'
    fields += '<DataField name="income" dataType="double" optype="continuous"/>'
    fields += '<DataField name="member" dataType="boolean" optype="categorical"/>'
    fields += '<DataField name="city" dataType="string" optype="categorical"/>'
    return (
        '<PMML xmlns="http://www.dmg.org/PMML-4_3" version="4.3"><Header/>'
        f"<DataDictionary>{fields}{target}</DataDictionary>{model}</PMML>"
    )


NUMBER = '<DataField name="y" dataType="double" optype="continuous"/>'
LABEL = '<DataField name="y" dataType="string" optype="categorical"><Value value="no"/><Value value="yes"/></DataField>'


def mined(**treatments: str) -> str:
    fields = "".join(f'<MiningField name="{name}" {treatments.get(name, "")}/>' for name in FIELDS)
    return f'<MiningSchema>{fields}<MiningField name="y" usageType="target"/></MiningSchema>'


def scorecard() -> str:
    """Points of its own for a missing value of each field."""
    parts = {"age": ("lessOrEqual", "18"), "income": ("lessOrEqual", "0"), "member": ("equal", "false")}
    listed = "".join(
        f'<Characteristic name="{name}"><Attribute partialScore="{10 ** (index + 2)}"><SimplePredicate field="{name}" '
        f'operator="isMissing"/></Attribute><Attribute partialScore="{10**index}"><SimplePredicate field="{name}" '
        f'operator="{operator}" value="{value}"/></Attribute><Attribute partialScore="0"><True/></Attribute>'
        "</Characteristic>"
        for index, (name, (operator, value)) in enumerate({**parts, "city": ("equal", "Ulm")}.items())
    )
    head = '<Scorecard functionName="regression" useReasonCodes="false" initialScore="0">'
    return pmml(NUMBER, f"{head}{mined()}<Characteristics>{listed}</Characteristics></Scorecard>")


def table(category: str = "") -> str:
    terms = '<NumericPredictor name="age" coefficient="-0.01"/><NumericPredictor name="income" coefficient="0.5"/>'
    terms += '<CategoricalPredictor name="member" value="true" coefficient="2"/>'
    terms += '<CategoricalPredictor name="city" value="Ulm" coefficient="0.25"/>'
    return f'<RegressionTable intercept="1" {category}>{terms}</RegressionTable>'


def replaced() -> str:
    """Missing values have replacements; an invalid one is answered with nothing."""
    values = {"age": "50", "income": "3", "city": "Ulm"}
    head = mined(**{name: f'missingValueReplacement="{value}"' for name, value in values.items()})
    return pmml(NUMBER, f'<RegressionModel functionName="regression">{head}{table()}</RegressionModel>')


def logistic(output: str = "") -> str:
    other = '<RegressionTable targetCategory="no" intercept="0"/>'
    body = mined() + output + table('targetCategory="yes"') + other
    head = '<RegressionModel functionName="classification" normalizationMethod="softmax">'
    return pmml(LABEL, f"{head}{body}</RegressionModel>")


def segments() -> str:
    """The first segment that fits answers, with output fields of its own, in an order of its own."""
    score = '<OutputField name="predicted_y" feature="predictedValue" dataType="double" optype="continuous"/>'
    node = '<OutputField name="node" feature="entityId" dataType="string" optype="categorical"/>'

    def segment(test: str, answer: float, fields: str) -> str:
        tree = f'<Node id="9" score="{answer}"><True/></Node>'
        head = f'<TreeModel functionName="regression">{mined()}<Output>{fields}</Output>'
        return f"<Segment>{test}{head}{tree}</TreeModel></Segment>"

    young = '<SimplePredicate field="age" operator="lessThan" value="18"/>'
    listed = segment(young, 1.5, score + node) + segment("<True/>", 7.5, node + score)
    body = f'{mined()}<Segmentation multipleModelMethod="selectFirst">{listed}</Segmentation>'
    return pmml(NUMBER, f'<MiningModel functionName="regression">{body}</MiningModel>')


REGRESSION, LATE = {"kind": "regression"}, {"kind": "probability", "positive": "yes"}
MODELS = [
    ("scorecard", scorecard(), REGRESSION, "predicted_y"),
    ("replaced", replaced(), REGRESSION, "predicted_y"),
    ("logistic", logistic(), LATE, "probability_yes"),
    ("segments", segments(), REGRESSION, "predicted_y"),
]


def loaded(folder: Path, text: str, output: Mapping[str, Any], **parameters: Any) -> Scorer:
    (folder / "m.pmml").write_text(text, encoding="utf-8")
    inputs = [{"name": name, "type": kind, "nullable": True} for name, kind in FIELDS.items()]
    manifest = write_bundle("pmml", folder, document("pmml", inputs=inputs, output=output, parameters=parameters))
    return load_scorer("pmml", folder, manifest)


def batch(rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in FIELDS.items()])
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)


def alone(text: str, row: Mapping[str, Any], field: str) -> float:
    """The evaluator's own answer of a record, in Python's types; NaN for one that is not a score."""
    from pypmml import Model

    answer = Model.fromString(text).predict(dict(row))[field]
    return float("nan") if answer is None or not np.isfinite(answer) else float(answer)


@pytest.mark.parametrize(("text", "output", "field"), [each[1:] for each in MODELS], ids=[each[0] for each in MODELS])
def test_each_record_has_the_answer_that_it_has_alone(
    tmp_path: Path, text: str, output: dict[str, Any], field: str
) -> None:
    scorer = loaded(tmp_path, text, output)
    truth = [alone(text, row, field) for row in ROWS]
    orders = [list(range(len(ROWS))), list(range(len(ROWS)))[::-1], *[[index] for index in range(len(ROWS))]]
    for order in orders:
        found = scorer.score(batch([ROWS[index] for index in order]))
        np.testing.assert_array_equal(found, [truth[index] for index in order])


def test_null_of_an_integer_field_is_missing(tmp_path: Path) -> None:
    found = loaded(tmp_path, scorecard(), REGRESSION).score(batch([{**ROWS[0], "age": None}, {**ROWS[0], "age": 10}]))
    assert found.tolist() == [1000 + 100, 1000 + 1]


def test_infinity_is_a_number_to_the_evaluator(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "income": income} for income in (float("inf"), float("-inf"), 1.0)]
    found = loaded(tmp_path, scorecard(), REGRESSION).score(batch(rows))
    assert found.tolist() == [alone(scorecard(), row, "predicted_y") for row in rows]


PROBABILITIES = "<Output>" + "".join(
    f'<OutputField name="p_{label}" feature="probability" value="{label}" dataType="double" optype="continuous"/>'
    for label in ("no", "yes")
) + "</Output>"


@pytest.mark.parametrize("parameters", [{}, {"most_probable": True}], ids=["evaluator", "most_probable"])
def test_classifier_without_a_predicted_value_answers_classes(tmp_path: Path, parameters: dict[str, Any]) -> None:
    rows = [{**ROWS[0], "income": income} for income in (-20.0, 9.0, -3.0)]
    scorer = loaded(tmp_path, logistic(PROBABILITIES), {"kind": "class"}, **parameters)
    assert scorer.score(batch(rows)).tolist() == [0.0, 1.0, 1.0]


def test_label_that_no_class_has_is_an_error_with_its_name(tmp_path: Path) -> None:
    scorer = loaded(tmp_path, logistic(), {"kind": "class"}, classes=["no", "maybe"])
    with pytest.raises(ValueError, match="the model answered class 'yes'; allowed: no, maybe"):
        scorer.score(batch(ROWS[:1]))
