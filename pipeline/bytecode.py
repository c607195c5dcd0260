"""`python -m pipeline.bytecode`: write the bytecode of the modules that a job imports, once, when an environment is
made.

`uv` compiles nothing that it installs, and where `PYTHONDONTWRITEBYTECODE` is set no process does: each then compiles
Beam again (docs/decisions/environment.md).
"""

import argparse
import contextlib
import importlib
import os
import pkgutil
import py_compile
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.reporting.printer import complain, print_line

_ROOMS = ("schemas", "models", "audit", "gates", "transforms", "pipeline", "runners")
# Libraries that our modules import only when they need them; those that are not installed are skipped.
_LAZY = (
    *("tensorflow", "mlflow.pyfunc", "skops.io", "sklearn.ensemble", "sklearn.pipeline", "sklearn.linear_model"),
    *("xgboost", "lightgbm", "onnxruntime", "pypmml", "model_signing", "tfx_bsl.coders.example_coder"),
    *("confluent_kafka", "boto3", "botocore.session", "grpc", "google.cloud.bigquery", "google.cloud.pubsub_v1"),
    *("google.cloud.storage", "google.cloud.bigquery_storage", "apache_beam.io.gcp.gcsfilesystem"),
    *("apache_beam.runners.worker.sdk_worker_main", "apache_beam.runners.dataflow.dataflow_runner"),
    *("apache_beam.runners.portability.flink_runner", "apache_beam.runners.worker.worker_pool_main"),
)


class Written(NamedTuple):
    """How many modules were loaded, and the folders in which some bytecode could not be written."""

    modules: int
    refused: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the bytecode and reports how many modules; 1 if a folder cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.bytecode", allow_abbrev=False, description=__doc__)
    parser.add_argument("module", nargs="*", help="only these and what they import; default: all that a job may use")
    given = parser.parse_args(arguments)
    written = write(given.module or [*_LAZY, *our_modules()])
    if written.refused:
        folders = ", ".join(written.refused[:3]) + (" and others" if len(written.refused) > 3 else "")
        said = f"no bytecode can be written below {folders}; expected: folders that this user may write; next: "
        return complain(f"{said}export PYTHONPYCACHEPREFIX=FOLDER for this and for every later process", 1)
    print_line(f"{written.modules} modules have bytecode")
    return 0


def our_modules() -> list[str]:
    """The names of all modules of this project."""
    names = list(_ROOMS)
    for room in _ROOMS:
        paths = list(importlib.import_module(room).__path__)
        names += [found.name for found in pkgutil.walk_packages(paths, f"{room}.", onerror=lambda name: None)]
    return [name for name in names if not name.endswith("__main__")]


def write(names: Iterable[str]) -> Written:
    """Imports the modules, which writes the bytecode of each one that is loaded with them."""
    sys.dont_write_bytecode = False
    with warnings.catch_warnings(), silenced():
        warnings.simplefilter("ignore")
        for name in names:
            # A library that is absent, or fails while it is imported, raises its own error when it is used.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    sources = {spec.cached: spec.origin for spec in specs if spec is not None and spec.cached and spec.origin}
    refused = {str(Path(cached).parent) for cached, source in sources.items() if not _compiled(source, cached)}
    return Written(len(sources), sorted(refused))


def _compiled(source: str, cached: str) -> bool:
    """Whether a loaded module has bytecode; that of modules loaded before this program began is written here."""
    if not Path(cached).exists():
        with contextlib.suppress(OSError):
            py_compile.compile(source, cached)
    return Path(cached).exists()


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discards what native libraries write to standard output and error while they load."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in kept:
            os.dup2(nothing, number)
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())
