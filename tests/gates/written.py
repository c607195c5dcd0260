"""Records of quality as a job writes them, from a few numbers for each window."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from gates.records import QualityRow
from schemas.avro.files import AvroFileWriter
from schemas.records import arrow_schema, avsc
from schemas.times import parse_time_us

DAY_US = 86_400_000_000
FIRST_US = parse_time_us("2019-01-01")


def row(day: int, metric: str = "loss_difference", **fields: Any) -> QualityRow:
    """A record of the day with this number; of the pair v2 and v1 unless fields say otherwise."""
    start = FIRST_US + day * DAY_US
    paired = {"version": "v2", "role": "challenger", "against": "v1", "value": 0.0, "variance": 1.0, "n": 100}
    stated = {**paired, "pane": 0, "label_coverage": 1.0, "n_effective": None, **fields}
    stated.setdefault("events", stated["n"])
    return QualityRow(window_start=start, window_end=start + DAY_US, metric=metric, **stated)


def arms(day: int, own: float, other: float, metric: str = "error", **fields: Any) -> list[QualityRow]:
    """The records of a day of v2 as challenger and of v1 as champion."""
    champion = {"version": "v1", "role": "champion", "against": None, "n": 1000}
    return [
        row(day, metric, value=own, against=None, **fields),
        row(day, metric, value=other, **champion | {"variance": fields.get("variance", 1.0)}),
    ]


def write(folder: Path, rows: Iterable[QualityRow], name: str = "quality-0.avro", model: str = "late") -> None:
    """An Avro file of records, as the sink writes them."""
    schema = arrow_schema("Quality")
    documents = [{**each._asdict(), "model": model, "segment": ""} for each in rows]
    columns = [pa.array([each.get(field.name) for each in documents], field.type) for field in schema]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as stream:
        AvroFileWriter(stream, avsc("Quality")).write(pa.RecordBatch.from_arrays(columns, schema=schema))
