"""A stored file, opened to be read as it is, and what Beam's file systems know of the run."""

from collections.abc import Sequence
from typing import IO, cast

from pipeline.endpoints.uris import beam_path, scheme_of


def open_stored(path: str) -> IO[bytes]:
    """The stored bytes of a file, not inflated whatever its name says.

    Raises:
        OSError: it cannot be opened.
    """
    if scheme_of(path) == "file":
        return open(beam_path(path), "rb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    return cast("IO[bytes]", FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))


def tell_file_systems(beam_options: Sequence[str]) -> None:
    """Some of Beam's file systems, such as S3's, open nothing before they know the options of the run."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    FileSystems.set_options(PipelineOptions(list(beam_options)))
