"""Messages of a topic, each a record of its own, as one raw block of a format."""

from collections.abc import Sequence

from schemas.formats.raw import RawBlock, RecordOrigin


def framed(
    values: Sequence[bytes], source: str, schema: str, format_name: str, origins: tuple[RecordOrigin, ...] = ()
) -> RawBlock:
    """Values of a topic as one block of the format; `origins` say where each came from, if known."""
    if format_name == "avro":
        parts = tuple((1, len(value)) for value in values)
        return RawBlock(source, schema, len(values), b"".join(values), parts=parts, origins=origins)
    return RawBlock(source, records=tuple(values), origins=origins)
