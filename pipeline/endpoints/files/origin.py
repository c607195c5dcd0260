"""Which run of which job wrote a file of a sink: stored in the file itself, so that it stays true wherever the file is
moved."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from schemas.avro.files import read_metadata

_JOB, _RUN = "halflife.job", "halflife.run"


class RunOrigin(NamedTuple):
    """A job's name and the id of its run."""

    job: str
    run: str

    def metadata(self) -> dict[str, str]:
        """Its form in a file's metadata."""
        return {_JOB: self.job, _RUN: self.run}


def origin_of(path: str) -> RunOrigin | None:
    """The run that wrote an Avro or Parquet file on any Beam file system; None if the file does not say so, or is
    neither.

    Raises:
        OSError: it cannot be read.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        try:
            said = _parquet(stream) if path.endswith(".parquet") else read_metadata(stream)
            job, run = said[_JOB.encode()].decode(), said[_RUN.encode()].decode()
        except (KeyError, ValueError, EOFError, OverflowError, pa.ArrowException):
            return None
    return RunOrigin(job, run)


def _parquet(stream: object) -> Mapping[bytes, bytes]:
    return pq.read_metadata(stream).metadata or {}
