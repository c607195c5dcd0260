"""The compiled module, where it was built: `EACH`; None where there was no compiler or no OpenSSL to build it with, and
where it was built from earlier sources, so that it lacks a function."""

from types import ModuleType

FUNCTIONS = (
    "sha256_each",
    "tree_roots",
    "order_of",
    "hmac_each",
    "encrypt_each",
    "skim",
    "rows_put",
    "rows_move",
    "rows_find",
)
EACH: ModuleType | None
try:
    from schemas.native import _each
except ImportError:
    EACH = None
else:
    EACH = _each if all(hasattr(_each, name) for name in FUNCTIONS) else None
