"""Which run of which job wrote a file of a sink: said in the file itself, so that it holds wherever the file goes."""

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
        """What a file says of it among its metadata."""
        return {_JOB: self.job, _RUN: self.run}


def origin_of(path: str) -> RunOrigin | None:
    """The run that wrote an Avro or Parquet file of any Beam file system; None if it does not say, or is neither.

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
