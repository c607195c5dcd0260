"""Metrics are defined in one module: every name, and every prefix that names are made with."""

import ast
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.packaging.sources import imports_of, module_name, parsed, python_files
from transforms.flow import metrics

ROOMS = ("schemas", "models", "audit", "transforms", "pipeline", "runners")
HOME = metrics.__name__


def counted() -> Iterator[ast.expr]:
    """The names with which other modules ask for counters, distributions and gauges."""
    for path in python_files(*ROOMS):
        for call in ast.walk(parsed(path)) if module_name(path) != HOME else ():
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("counter", "distribution", "gauge"):
                yield call.args[0]


def test_only_their_home_asks_beam_for_metrics() -> None:
    imports = [one for path in python_files(*ROOMS) for one in imports_of(path)]
    assert {module_name(one.path) for one in imports if one.module == "apache_beam.metrics.Metrics"} == {HOME}


def test_names_come_from_their_home() -> None:
    names = list(counted())
    assert len(names) > 20
    assert [ast.unparse(name) for name in names if isinstance(name, ast.Constant | ast.JoinedStr)] == []
    assert [ast.unparse(name) for name in names if isinstance(name, ast.Name) and name.id.isupper()] == []


@pytest.mark.parametrize("suffix", ["", "_PREFIX"])
def test_no_name_is_there_twice(suffix: str) -> None:
    names = [value for key, value in vars(metrics).items() if key.isupper() and key.endswith(suffix)]
    assert [name for name, times in Counter(names).items() if times > 1] == []
