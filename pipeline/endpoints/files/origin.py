"""Which run of which job wrote a file of a sink, and which record it holds: stored in the file itself, so that it stays
true wherever the file is moved."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from schemas.avro.files import read_metadata

_JOB, _RUN, _RECORD, _SCHEMA = "halflife.job", "halflife.run", "halflife.record", b"avro.schema"
_KEYS = "halflife.keys"


class RunOrigin(NamedTuple):
    """A job's name, the id of its run, and the record of the file, such as `Score`; empty where that cannot be told.
    `keys`: the id of the key store that hashed the ids of events, empty where they are in plain, or nobody said it."""

    job: str
    run: str
    record: str = ""
    keys: str = ""

    def metadata(self) -> dict[str, str]:
        """Its form in a file's metadata."""
        keys = {_KEYS: self.keys} if self.keys else {}
        return {_JOB: self.job, _RUN: self.run, _RECORD: self.record, **keys}


def origin_of(path: str) -> RunOrigin | None:
    """The run that wrote an Avro or Parquet file on any Beam file system; None if the file does not say so, or is
    neither.

    Raises:
        OSError: it cannot be read.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        try:
            said = _parquet(stream) if path.endswith(".parquet") else read_metadata(stream)
            job, run = (said[key.encode()].decode() for key in (_JOB, _RUN))
            record, keys = _record(said), said.get(_KEYS.encode(), b"").decode()
        except (KeyError, ValueError, EOFError, OverflowError, pa.ArrowException):
            return None
    return RunOrigin(job, run, record, keys)


def _record(said: Mapping[bytes, bytes]) -> str:
    """The record that a file says it holds: the name of its Avro schema, and `halflife.record`, which may not differ.

    Raises:
        ValueError: neither can be read.
    """
    names = {said[key].decode() for key in (_RECORD.encode(),) if key in said}
    if _SCHEMA in said:
        names.add(_schema_name(said[_SCHEMA]))
    return names.pop() if len(names) == 1 else ""


def _schema_name(schema: bytes) -> str:
    try:
        return str(json.loads(schema)["name"]).rpartition(".")[2]
    except (KeyError, TypeError, RecursionError):
        return ""


def _parquet(stream: object) -> Mapping[bytes, bytes]:
    return pq.read_metadata(stream).metadata or {}
