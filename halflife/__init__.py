"""Halflife from Python. The names in `__all__` are public and keep their meaning; all others, and every other package
of this distribution (`schemas`, `models`, `transforms`, `pipeline`, `runners`), are private and may change at any time.

| name                        | does                                                              |
|-----------------------------|-------------------------------------------------------------------|
| `run`                       | runs a job to its end and returns its `Summary`                   |
| `load_model`, `load_bundle` | a `Model`, which scores a DataFrame as a job would score events   |
| `publish`, `release`        | put a model into a store, and decide from when on it serves       |
| `read_scores`               | the scores that jobs wrote to files, as an Arrow table            |
| `read_receipts`             | their receipts, with what each version read                       |
| `read_training`             | a training set that `halflife features` wrote                     |
| `beam`                      | the steps of a job as transforms of one's own Beam pipeline       |
| `plug_ins`                  | what sources, sinks and aggregates of other distributions are     |
| `errors`                    | the families of errors that these raise                           |

Importing this package imports nothing else: each name is imported when it is first used. Remarks, which a command
prints, go to the logger `halflife` at level INFO; nothing is printed.
"""

import logging
from typing import TYPE_CHECKING

from halflife._lazy import importer

if TYPE_CHECKING:
    from halflife import beam, errors, plug_ins
    from halflife._publishing import PublishedVersion, WrittenRelease, publish, release
    from halflife._records import read_receipts, read_scores
    from halflife._running import Summary, run
    from halflife._scoring import Model, load_bundle, load_model
    from halflife._training import read_training

__all__ = [
    "Model",
    "PublishedVersion",
    "Summary",
    "WrittenRelease",
    "beam",
    "errors",
    "load_bundle",
    "load_model",
    "plug_ins",
    "publish",
    "read_receipts",
    "read_scores",
    "read_training",
    "release",
    "run",
]

_MODULES = {
    "Model": "halflife._scoring",
    "PublishedVersion": "halflife._publishing",
    "Summary": "halflife._running",
    "WrittenRelease": "halflife._publishing",
    "beam": "halflife.beam",
    "errors": "halflife.errors",
    "load_bundle": "halflife._scoring",
    "load_model": "halflife._scoring",
    "plug_ins": "halflife.plug_ins",
    "publish": "halflife._publishing",
    "read_receipts": "halflife._records",
    "read_scores": "halflife._records",
    "read_training": "halflife._training",
    "release": "halflife._publishing",
    "run": "halflife._running",
}
__getattr__ = importer(__name__, _MODULES)
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __dir__() -> list[str]:
    return list(__all__)
