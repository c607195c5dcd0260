"""A model's answer is its own library's answer for that record alone.

The contract test of every kind. A *case* (`Case`) is a model, a maker of its bundle, and its *truth*: the library
called for one record by itself, as its users call it. The test makes records (every input × null, unseen, extreme, in
the types of Arrow that events come in), has the job's own code score them (`transforms.scoring.scoring.score_rows`,
after admission) in batches of one, of two, all together, shuffled, and apart by nulls, and compares each answer with
the truth. Where the truth raises, or is not a finite number, the record must be a dead letter, whatever is beside it.

**To add a kind**: put a module into `tests/models/scorers/alone/kinds/` with a tuple `CASES`. Nothing else is to be
changed:

    def _two_classes(folder: Path) -> Model:
        estimator = …                                   # train; write the payload into `folder`
        def truth(record: Mapping[str, Any]) -> float:  # name → int, float, bool, str or None, as the event has it
            return float(estimator.predict_proba(pd.DataFrame([record]))[0, 1])
        manifest = {"inputs": [{"name": "age", "type": "integer", "nullable": True}], "output": {"kind": "probability"}}
        return Model(manifest, truth, seen=[{"age": 31}, {"age": 50}])

    CASES = (Case("mykind", "two-classes", _two_classes),)

`truth` gets each input's default instead of a null, as the scorer does, and is never asked for a null that the
manifest does not allow: that must be a letter. `unseen` adds values of your own (a category that sorts before, between
and after the known ones). What the library answers and we refuse on purpose, as docs/scorers.md says, raises in
`truth`.

`make test` runs a sample (`tests/models/scorers/alone/test_alone.py`); `python -m tests.models.scorers.alone [LABEL…]`
runs the full form: also pairs of unusual values in one record, more orders, and each column in every type of Arrow.
"""

from tests.models.scorers.alone.cases import Case, Model, all_cases
from tests.models.scorers.alone.check import Difference, Form, differences, full, sampled

__all__ = ["Case", "Difference", "Form", "Model", "all_cases", "differences", "full", "sampled"]
