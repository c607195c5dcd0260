"""The families of errors that the public functions raise; `str()` of each is one line for people.

    HalflifeError        all of them
    ├── SpecError        a spec or an argument says what is not allowed: `path`, `value`, `allowed` (a ValueError too)
    ├── UnusableData     data that cannot be what they are taken for (a ValueError too)
    ├── BundleRefused    a bundle may not serve, or a frame lacks an input: `reason` is a fixed word
    ├── StoreError       the store could not do what was asked
    ├── LoadFailed       a version may not serve or cannot be loaded: `version`, `digest`, `reason`, `detail`
    ├── NoInput          a source cannot be read, or has nothing
    ├── SinkUnwritable   a sink cannot be written
    ├── RunFailed        a run did its work, and what came of it is a failure
    └── Refused          a version may not be published or released: `reason`, `detail`

What is raised may be of a class below one of these, whose name is private.
"""

from typing import TYPE_CHECKING

from halflife._lazy import importer

if TYPE_CHECKING:
    from models.errors import BundleRefused, StoreError
    from models.serving.cache import LoadFailed
    from pipeline.commands.output import Refused
    from pipeline.endpoints.errors import NoInput, SinkUnwritable
    from pipeline.reporting.outcomes import RunFailed
    from schemas.errors import HalflifeError, UnusableData
    from schemas.validation import SpecError

__all__ = [
    "BundleRefused",
    "HalflifeError",
    "LoadFailed",
    "NoInput",
    "Refused",
    "RunFailed",
    "SinkUnwritable",
    "SpecError",
    "StoreError",
    "UnusableData",
]

_MODULES = {
    "BundleRefused": "models.errors",
    "HalflifeError": "schemas.errors",
    "LoadFailed": "models.serving.cache",
    "NoInput": "pipeline.endpoints.errors",
    "Refused": "pipeline.commands.output",
    "RunFailed": "pipeline.reporting.outcomes",
    "SinkUnwritable": "pipeline.endpoints.errors",
    "SpecError": "schemas.validation",
    "StoreError": "models.errors",
    "UnusableData": "schemas.errors",
}
__getattr__ = importer(__name__, _MODULES)


def __dir__() -> list[str]:
    return list(__all__)
