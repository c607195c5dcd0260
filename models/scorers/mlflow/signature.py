"""The inputs of a pyfunc, cast to the types of its signature: each record as if it were alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.manifest import Input, Manifest
from models.scorers.base import A_DEFAULT, WillNotLoad
from schemas.columns import ColumnKind
from schemas.expectations import wants
from schemas.times import MalformedTime, parse_instant_us

NOT_OF_SIGNATURE = "NotOfSignature"
Values: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]

# By the kind of the signature's numpy type: the inputs that can be cast to it.
_READS: Mapping[str, tuple[ColumnKind, ...]] = {
    "f": ("number", "integer"),
    "i": ("integer", "number"),
    "u": ("integer", "number"),
    "b": ("boolean",),
    "U": ("string",),
    "M": ("string",),
}
_NANOSECONDS = range(-(2**63) // 1000 + 1, 2**63 // 1000)
"""Times in microseconds that 64 bits hold in nanoseconds: the years 1677 to 2262."""
_UNSIGNED: Mapping[ColumnKind, str] = {"number": "float64", "integer": "int64", "boolean": "bool", "string": "str"}


class SignatureColumn(NamedTuple):
    """One input as the model reads it. `optional`: the column is left out for a record without a value."""

    entry: Input
    dtype: np.dtype[Any]
    optional: bool

    @property
    def named(self) -> str:
        """The type's name for messages."""
        return {"U": "string", "M": "datetime"}.get(self.dtype.kind, str(self.dtype))


class Cast(NamedTuple):
    """A column of n rows: its values, which of them are null, and which the type cannot hold without loss."""

    values: Values
    nulls: Mask
    wrong: Mask


class SignedInputs:
    """How batches become the pyfunc's argument.

    `layout` is "frame" (a DataFrame by name), "matrix" (one array of `columns[0].dtype`) or "tensors" (an array for
    each name).
    """

    def __init__(self, schema: Any, manifest: Manifest) -> None:
        self.layout, self.columns = _read_schema(schema, manifest)
        for column in self.columns:
            _check(column, schema is not None, self.layout)

    def cast(self, batch: pa.RecordBatch) -> tuple[list[Cast], dict[int, tuple[str, str]]]:
        """Every column of a batch, and the rows with a value that the signature's type cannot hold, with the reason."""
        casts = [_cast(batch.column(column.entry.name), column.dtype) for column in self.columns]
        failures: dict[int, tuple[str, str]] = {}
        for column, cast in zip(self.columns, casts, strict=True):
            for row in np.flatnonzero(cast.wrong).tolist():
                shown = repr(batch.column(column.entry.name)[row].as_py())
                detail = f"input {column.entry.name!r}: {shown[:100]} does not fit {column.named} without loss"
                failures.setdefault(row, (NOT_OF_SIGNATURE, f"{detail}; expected: what the signature's type can hold"))
        return casts, failures

    def parts(self, casts: Sequence[Cast], rows: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], Any]]:
        """The rows, grouped by which columns get another type through a null, and the model's argument for each group.

        A null among integers or booleans changes the type of a whole pandas column: so rows with it form a group of
        their own, and rows without it are read as if they were alone.
        """
        shifting = [cast for cast, column in zip(casts, self.columns, strict=True) if column.dtype.kind in "iub"]
        patterns = np.zeros((len(rows), len(shifting)), np.bool_)
        for index, cast in enumerate(shifting):
            patterns[:, index] = cast.nulls[rows]
        kinds, of_row = np.unique(patterns, axis=0, return_inverse=True)
        for number in range(len(kinds)):
            picked = rows[of_row.ravel() == number]
            yield picked, self._fed(casts, picked)

    def _fed(self, casts: Sequence[Cast], rows: npt.NDArray[np.int64]) -> Any:
        if self.layout == "matrix":
            return np.column_stack([cast.values[rows] for cast in casts])
        if self.layout == "tensors":
            return {column.entry.name: cast.values[rows] for column, cast in zip(self.columns, casts, strict=True)}
        import pandas as pd

        frame = pd.DataFrame(index=range(len(rows)))
        for column, cast in zip(self.columns, casts, strict=True):
            missing = bool(cast.nulls[rows].any())
            if not (missing and column.optional and column.dtype.kind in "iu"):
                frame[column.entry.name] = _series(cast.values[rows], cast.nulls[rows], column.dtype)
        return frame


def _read_schema(schema: Any, manifest: Manifest) -> tuple[str, list[SignatureColumn]]:
    """The layout, and the manifest's inputs with the types that they are cast to."""
    if schema is None:
        return "frame", [SignatureColumn(entry, np.dtype(_UNSIGNED[entry.type]), False) for entry in manifest.inputs]
    if schema.is_tensor_spec():
        return _read_tensors(schema, manifest)
    specs = list(schema.inputs)
    if schema.has_input_names():
        by_name = {spec.name: spec for spec in specs}
        specs = [by_name[entry.name] for entry in manifest.inputs]
    if len(specs) != len(manifest.inputs):
        raise WillNotLoad(f"mlflow: {len(manifest.inputs)} inputs; expected: the signature's {len(specs)} columns")
    columns = []
    for entry, spec in zip(manifest.inputs, specs, strict=True):
        to_numpy = getattr(spec.type, "to_numpy", None)
        if to_numpy is None or spec.type.name == "binary":
            found = getattr(spec.type, "name", spec.type)
            raise WillNotLoad(f"mlflow: input {entry.name!r} is {found} in the signature; expected: one plain value")
        columns.append(SignatureColumn(entry, to_numpy(), not spec.required))
    return "frame", columns


def _read_tensors(schema: Any, manifest: Manifest) -> tuple[str, list[SignatureColumn]]:
    allowed: tuple[tuple[int, ...], ...]
    if schema.has_input_names():
        by_name = {spec.name: spec for spec in schema.inputs}
        specs, allowed = [by_name[entry.name] for entry in manifest.inputs], ((-1,), (-1, 1))
    else:
        specs, allowed = [schema.inputs[0]] * len(manifest.inputs), ((-1, len(manifest.inputs)), (-1, -1))
    for spec in specs:
        if tuple(spec.shape) not in allowed:
            listed = " or ".join(str(shape) for shape in allowed)
            raise WillNotLoad(f"mlflow: a tensor of the signature has shape {tuple(spec.shape)}; {wants(listed)}")
    pairs = zip(manifest.inputs, specs, strict=True)
    columns = [SignatureColumn(entry, np.dtype(spec.type), False) for entry, spec in pairs]
    return "tensors" if schema.has_input_names() else "matrix", columns


def _check(column: SignatureColumn, signed: bool, layout: str) -> None:
    """Refuse an input whose type can never be cast to the signature's, or whose nulls the signature's type cannot
    hold."""
    entry, dtype = column.entry, column.dtype
    reads = _READS.get(dtype.kind, ())
    if layout != "frame" and dtype.kind == "b":
        reads = ("boolean",)
    if entry.type not in reads:
        allowed = " or ".join(reads) or "numbers, booleans, texts and times"
        raise WillNotLoad(
            f"mlflow: input {entry.name!r} is of type {entry.type}, the signature's is {column.named}; {wants(allowed)}"
        )
    holds = dtype.kind in "fUM" or (layout == "frame" and (dtype.kind == "b" or column.optional or not signed))
    if entry.nullable and entry.default is None and not holds:
        raise WillNotLoad(
            f"mlflow: input {entry.name!r} may be null, and the signature's {column.named} cannot; "
            f"{wants(A_DEFAULT)}"
        )


def _cast(column: pa.Array, dtype: np.dtype[Any]) -> Cast:
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    if dtype.kind in "UM":
        return _texts(column, nulls) if dtype.kind == "U" else _times(column, nulls)
    if column.null_count:
        column = column.fill_null(pa.scalar(False if dtype.kind == "b" else 0).cast(column.type))
    given = column.to_numpy(zero_copy_only=False)
    if dtype.kind == "b":
        return Cast(given.astype(np.bool_), nulls, np.zeros(len(given), np.bool_))
    values, wrong = (_floats if dtype.kind == "f" else _integers)(given, dtype)
    if dtype.kind == "f":
        values[nulls] = np.nan
    return Cast(values, nulls, wrong & ~nulls)


def _floats(given: Values, dtype: np.dtype[Any]) -> tuple[Values, Mask]:
    """Floats are rounded to the nearest of their type, which must not be infinite; integers must be exact."""
    with np.errstate(over="ignore"):
        values = given.astype(dtype)
    if given.dtype.kind == "f":
        return values, np.isinf(values) & np.isfinite(given)
    wide = values.astype(np.float64)
    inside = np.isfinite(wide) & (wide >= -(2.0**63)) & (wide < 2.0**63)
    return values, ~inside | (np.where(inside, wide, 0.0).astype(np.int64) != given)


def _integers(given: Values, dtype: np.dtype[Any]) -> tuple[Values, Mask]:
    limits = np.iinfo(dtype)
    if given.dtype.kind == "f":
        wrong = ~((np.floor(given) == given) & (given >= float(limits.min)) & (given < float(limits.max) + 1.0))
    else:
        wrong = (given < max(limits.min, -(2**63))) | (given > min(limits.max, 2**63 - 1))
    return np.where(wrong, 0, given).astype(dtype), wrong


def _texts(column: pa.Array, nulls: Mask) -> Cast:
    return Cast(np.array(column.to_pylist(), dtype=object), nulls, np.zeros(len(column), np.bool_))


def _times(column: pa.Array, nulls: Mask) -> Cast:
    """RFC 3339 texts as UTC without a zone, the only times that MLflow takes."""
    values, wrong = np.full(len(column), np.datetime64("NaT", "us"), "datetime64[us]"), np.zeros(len(column), np.bool_)
    for row, text in enumerate(column.to_pylist()):
        if text is None:
            continue
        try:
            time_us = parse_instant_us(text)
        except MalformedTime:
            wrong[row] = True
            continue
        wrong[row] = time_us not in _NANOSECONDS
        values[row] = np.datetime64(0 if wrong[row] else time_us, "us")
    return Cast(values.astype("datetime64[ns]"), nulls, wrong)


def _series(values: Values, nulls: Mask, dtype: np.dtype[Any]) -> Any:
    """A pandas column of the type that it has for each row alone."""
    import pandas as pd

    if dtype.kind == "U":
        return pa.array(values, pa.string()).to_pandas()
    if nulls.any() and dtype.kind == "b":
        return pd.Series([None] * len(values), dtype=object)
    if nulls.any() and dtype.kind in "iu":
        return pd.Series(np.full(len(values), np.nan))
    return pd.Series(values)
