"""Memory and cores of Compute Engine's machine types, from their names.

Source: https://cloud.google.com/compute/docs/general-purpose-machines and …/compute-optimized-machines (gigabytes for
each vCPU of a series and class), https://cloud.google.com/compute/docs/instances/creating-instance-with-custom-machine-type
(names of custom types).
"""

import re
from typing import NamedTuple

_GIB = 1024**3
_USUAL = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
_LATER = {"standard": 4.0, "highmem": 8.0, "highcpu": 2.0}
# Gigabytes for each vCPU, by series and class.
PER_CPU = {
    "n1": {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9},
    "e2": _USUAL,
    "n2": _USUAL,
    "n2d": _USUAL,
    "c2": {"standard": 4.0},
    "c2d": _LATER,
    "t2d": {"standard": 4.0},
    "t2a": {"standard": 4.0},
    "c3": _LATER,
    "c3d": _LATER,
    "n4": _LATER,
    "c4": _LATER,
    "c4a": _LATER,
}
# Types that share a core: gigabytes and the vCPUs that a worker sees.
SHARED = {"e2-small": (2.0, 2), "e2-medium": (4.0, 2), "g1-small": (1.7, 1)}
_CUSTOM = re.compile(r"(?:[a-z0-9]+-)?custom-(\d+)-(\d+)(?:-ext)?")
_STANDARD = re.compile(r"([a-z0-9]+)-(standard|highmem|highcpu)-(\d+)(?:-lssd)?")


class Machine(NamedTuple):
    """One machine type: its vCPUs and its memory in bytes."""

    cpus: int
    memory_bytes: int


def machine(name: str) -> Machine | None:
    """The machine type of a name such as `n2-highmem-4` or `custom-8-16384`; None if it is not in the table."""
    if name in SHARED:
        gigabytes, cpus = SHARED[name]
        return Machine(cpus, int(gigabytes * _GIB))
    custom = _CUSTOM.fullmatch(name)
    if custom is not None and int(custom[1]):
        return Machine(int(custom[1]), int(custom[2]) * 1024**2)
    found = _STANDARD.fullmatch(name)
    each = PER_CPU.get(found[1], {}).get(found[2]) if found else None
    if found is None or each is None or not int(found[3]):
        return None
    return Machine(int(found[3]), int(each * int(found[3]) * _GIB))
