"""The examples in docstrings are run, and what has a formula has one."""

import doctest
import importlib
import re

import pytest

from tests.packaging.sources import ROOMS, module_name, python_files

_EXAMPLE = re.compile(r"^ +>>> ", re.MULTILINE)  # of a function, or further in: of a method
MODULES = [module_name(path) for path in python_files(*ROOMS) if _EXAMPLE.search(path.read_text(encoding="utf-8"))]
# An example that is deleted, or whose `>>>` is mistyped, is missed here.
WITH_A_FORMULA = [
    "models.releases.shares.assign",
    "models.releases.shares.unit_interval",
    "models.releases.timeline.in_force",
    "schemas.avro.datums.zigzag_varint",
    "schemas.score_ids.definitions_digest",
    "schemas.score_ids.score_id",
    "schemas.times.format_duration_us",
    "schemas.times.parse_duration_us",
    "transforms.drift.drift_statistics.chi2_quantile",
    "transforms.drift.drift_statistics.ks",
    "transforms.drift.drift_statistics.psi",
    "transforms.drift.thresholds.drifted",
    "transforms.features.key_plans.plan_key",
    "transforms.features.waiting.ready_times",
    "transforms.scoring.scoring.decisions",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_hold(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("qualified", WITH_A_FORMULA)
def test_what_has_a_formula_has_an_example(qualified: str) -> None:
    module, _, function = qualified.rpartition(".")
    documented = getattr(importlib.import_module(module), function).__doc__
    assert doctest.DocTestParser().get_examples(documented) != []


def test_examples_are_found_in_every_room_that_has_formulas() -> None:
    assert {name.partition(".")[0] for name in MODULES} >= {"schemas", "models", "transforms"}
    assert len(MODULES) >= 15
