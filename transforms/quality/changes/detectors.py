"""Detectors of river (BSD-3), each over values of deviation 1 whose mean is 0 as long as nothing changes.

Page-Hinkley: E. Page, Continuous inspection schemes (Biometrika 41, 1954). ADWIN: A. Bifet and R. Gavaldà, Learning
from time-changing data with adaptive windowing (SIAM 2007). river is imported where a detector is made: 4 s, once in a
process. Its objects are never kept nor pickled: whoever needs one again reads the same values again.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Protocol

from schemas.job import ConceptDriftSpec

ADWIN, PAGE_HINKLEY = "adwin", "page_hinkley"
LIBRARY = EXTRA = "river"


class Detector(Protocol):
    """Reads values in order."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last value made it see a change; it then forgets what was before."""

    def update(self, x: float) -> object:
        """Reads one value."""


def is_there() -> bool:
    """Whether the library of the detectors is installed here."""
    return find_spec(LIBRARY) is not None


def detector_of(name: str, spec: ConceptDriftSpec) -> Detector:
    """A new detector of `DETECTORS`."""
    return _MAKERS[name](spec)


def _adwin(spec: ConceptDriftSpec) -> Detector:
    from river import drift

    # By default it looks at every 32nd value only.
    found: Detector = drift.ADWIN(delta=spec.adwin_delta, clock=1)  # type: ignore[no-untyped-call]  # river has no types there
    return found


def _page_hinkley(spec: ConceptDriftSpec) -> Detector:
    from river.drift import PageHinkley

    found: Detector = PageHinkley(
        min_instances=4, delta=spec.page_hinkley_delta, threshold=spec.page_hinkley_threshold, alpha=1.0
    )
    return found


_MAKERS: Mapping[str, Callable[[ConceptDriftSpec], Detector]] = {ADWIN: _adwin, PAGE_HINKLEY: _page_hinkley}
DETECTORS = tuple(_MAKERS)
"""Names of detectors, as a spec has them."""
OWN_LEVEL = frozenset({ADWIN})
"""Those that know by themselves what the level was: values off a level that follows the errors would hide a change."""
