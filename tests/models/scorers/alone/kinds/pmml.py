"""PMML: every type of field with the document's own treatment of nulls; every output."""

from functools import partial
from pathlib import Path
from typing import Any

from tests.models.scorers.alone.cases import Case, Model, Record

_FIELDS = {"age": "integer", "income": "double", "member": "boolean", "city": "string"}
_TYPES = {"integer": "integer", "double": "number", "boolean": "boolean", "string": "string"}
_INPUTS = [{"name": name, "type": _TYPES[kind], "nullable": True} for name, kind in _FIELDS.items()]
_SEEN: list[Record] = [
    {"age": 31, "income": 1500.5, "member": True, "city": "Ulm"},
    {"age": 70, "income": -20.0, "member": False, "city": "Bonn"},
    {"age": 12, "income": 2.25, "member": True, "city": "Rom"},
]
_NUMBER = '<DataField name="y" dataType="double" optype="continuous"/>'
_CLASSES = '<Value value="no"/><Value value="yes"/>'
_LABEL = f'<DataField name="y" dataType="string" optype="categorical">{_CLASSES}</DataField>'
_TERMS = (
    '<NumericPredictor name="age" coefficient="-0.01"/><NumericPredictor name="income" coefficient="0.001"/>'
    '<CategoricalPredictor name="member" value="true" coefficient="2"/>'
    '<CategoricalPredictor name="city" value="Ulm" coefficient="-1.25"/>'
)


def _document(target: str, function: str, treatment: str, tables: str) -> str:
    continuous = ("integer", "double")
    fields = "".join(
        f'<DataField name="{name}" dataType="{kind}" '
        f'optype="{"continuous" if kind in continuous else "categorical"}"/>'
        for name, kind in _FIELDS.items()
    )
    values = {"age": "50", "income": "3", "member": "true", "city": "Ulm"}
    mined = "".join(f'<MiningField name="{name}" {treatment.format(values[name])}/>' for name in _FIELDS)
    return (
        '<PMML xmlns="http://www.dmg.org/PMML-4_3" version="4.3"><Header/>'
        f"<DataDictionary>{fields}{target}</DataDictionary><RegressionModel {function}><MiningSchema>{mined}"
        f'<MiningField name="y" usageType="target"/></MiningSchema>{tables}</RegressionModel></PMML>'
    )


def _make(folder: Path, text: str, output: dict[str, Any], field: str, codes: dict[str, float] | None = None) -> Model:
    from pypmml import Model as Evaluator

    from models.scorers.pmml.machine import start_machine

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pmml").write_text(text, encoding="utf-8")
    start_machine()
    evaluator = Evaluator.fromString(text)

    def truth(record: Record) -> float:
        answer = evaluator.predict(dict(record))[field]
        return float("nan") if answer is None else codes[answer] if codes else float(answer)

    return Model({"inputs": _INPUTS, "output": output}, truth, _SEEN)


_TABLE = f'<RegressionTable intercept="1">{_TERMS}</RegressionTable>'
_AS_IT_IS = 'missingValueReplacement="{}" invalidValueTreatment="asIs"'
_PLAIN = _document(_NUMBER, 'functionName="regression"', "", _TABLE)
_REPLACED = _document(_NUMBER, 'functionName="regression"', _AS_IT_IS, _TABLE)
_LOGISTIC = _document(
    _LABEL, 'functionName="classification" normalizationMethod="softmax"', 'missingValueReplacement="{}"',
    f'<RegressionTable targetCategory="yes" intercept="-1">{_TERMS}</RegressionTable>'
    '<RegressionTable targetCategory="no" intercept="0"/>',
)  # fmt: skip
_YES = {"kind": "probability", "positive": "yes"}

CASES = (
    Case("pmml", "plain", partial(_make, text=_PLAIN, output={"kind": "regression"}, field="predicted_y")),
    Case("pmml", "replaced", partial(_make, text=_REPLACED, output={"kind": "regression"}, field="predicted_y")),
    Case("pmml", "probability", partial(_make, text=_LOGISTIC, output=_YES, field="probability_yes")),
    Case(
        "pmml", "class",
        partial(_make, text=_LOGISTIC, output={"kind": "class"}, field="predicted_y", codes={"no": 0.0, "yes": 1.0}),
    ),
)  # fmt: skip
