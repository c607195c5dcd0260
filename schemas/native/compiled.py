"""The compiled module, where it was built: `EACH`; None where there was no compiler or no OpenSSL to build it with."""

from types import ModuleType

EACH: ModuleType | None
try:
    from schemas.native import _each
except ImportError:
    EACH = None
else:
    EACH = _each
