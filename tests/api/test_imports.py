"""Importing the package costs nothing, shows the public names alone, and a model loads without Beam's runners."""

import subprocess
import sys
from typing import Any

import pytest

import halflife
from pipeline.reporting.summary import summarise
from tests.packaging.sources import ROOT


def test_import_brings_no_library_and_no_other_package() -> None:
    program = "import sys, halflife; dir(halflife); print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"apache_beam", "numpy", "pandas", "pyarrow"}
    assert set(done.stdout.split()) & {*heavy, "schemas", "models", "transforms", "pipeline"} == set()


def test_summary_has_the_keys_that_a_run_writes() -> None:
    assert set(halflife.Summary.__annotations__) == set(summarise({}, 1.0, 0.5, {}, "run"))


def test_names_for_pipelines_have_docstrings() -> None:
    names = halflife.beam.__all__
    assert names == ["AsEvents", "MeasureDrift", "ScoreEvents", "WindowFeatures", "job_of"]
    assert [name for name in names if not getattr(halflife.beam, name).__doc__] == []


@pytest.mark.parametrize("module", [halflife, halflife.errors])
def test_every_public_name_is_there_with_a_docstring(module: Any) -> None:
    assert dir(module) == sorted(module.__all__) == sorted(module._MODULES)
    assert [name for name in module.__all__ if not getattr(module, name).__doc__] == []
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        _ = module.runn
