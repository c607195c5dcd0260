"""The training sets that `halflife features` wrote, as Arrow tables."""

import warnings
from collections import Counter
from os import PathLike, fspath

import pyarrow as pa

from halflife._records import keys_at, parquet_rows, record_files
from pipeline.endpoints.errors import NoInput
from schemas.errors import UnusableData


class RowsErased(UserWarning):
    """Rows of a training set are left out: the keys of their subjects were destroyed."""


def read_training(path: str | PathLike[str], keys: str | PathLike[str] | None = None) -> pa.Table:
    """The rows of a training set, those of a job with `privacy` decrypted.

    Args:
        path: the folder that `halflife features` wrote, that of a part (`train`, `test`), a file or a pattern, on any
            file system that a job can write to.
        keys: the key store of a job with `privacy`; None where the rows are in plain.

    Returns:
        n rows with id, time, subject, label where there is one, and the features of the job. Rows of erased subjects
        are left out, which a warning `RowsErased` counts.

    Raises:
        NoInput: there are no such files, or no rows in them.
        UnusableData: a file is damaged, or rows cannot be decrypted although they were not erased.
        NoKeyStore, StoreError: the key store has nothing, or cannot be read.
        OSError: a file cannot be read.
    """
    stored = [table for file in record_files(fspath(path)) for table in _tables(file)]
    if not stored:
        raise NoInput(f"{fspath(path)} has files without a row; expected: those of one training set")
    from models.privacy.training import is_encrypted_training  # few jobs have keys, and it takes a while to import

    if any(is_encrypted_training(table.schema) for table in stored):
        if keys is None:
            raise UnusableData(f"{fspath(path)}: rows are encrypted; expected: keys, the key store of the job")
        stored = _opened(stored, fspath(path), fspath(keys))
    try:
        return pa.concat_tables([table.replace_schema_metadata(None) for table in stored])
    except pa.ArrowInvalid:
        found = f"{fspath(path)} has files with other columns than {', '.join(stored[0].schema.names)}"
        raise UnusableData(f"{found}; expected: those of one training set") from None


def _tables(file: str) -> list[pa.Table]:
    rows = parquet_rows(file)
    return [pa.Table.from_batches(rows)] if rows else []


def _opened(stored: list[pa.Table], path: str, keys_url: str) -> list[pa.Table]:
    from models.privacy.training import decrypt_rows

    keys = keys_at(keys_url)
    found = [decrypt_rows(table, keys.found(table["key_id"]).get) for table in stored]
    states = Counter(state for each in found for state in each.states)
    if without := states["unreadable"]:
        said = f"{path}: {without:,} rows cannot be decrypted: the key store {keys.url} has no key that opens them"
        raise UnusableData(f"{said}; expected: the key store of the job that wrote them")
    if erased := states["erased"]:
        said = f"{path}: {erased:,} of {states.total():,} rows are left out: the keys of their subjects were destroyed"
        warnings.warn(said, RowsErased, stacklevel=3)
    return [pa.Table.from_batches([each.rows]) for each in found]
