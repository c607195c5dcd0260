"""The trainer's own answers: golden records made where the model was trained, not where it is published."""

import json
import math
from codecs import BOM_UTF8
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.bundles.manifest import Input
from models.errors import one_line
from models.profiles import SCORE
from models.publishing.description import CannotPublish
from models.publishing.samples import read_rows
from models.publishing.trial import golden_lines, typed_inputs
from models.strict_json import parse_object
from schemas.validation import SpecError

MOST_ROWS = 100_000
_LINES = (".jsonl", ".ndjson", ".json")
_ALLOWED = 'JSON lines {"inputs": {name: value}, "score": number}, or .parquet, .csv or .avro with a column score'


def read_trainer(path: Path, texts: Collection[str] = ()) -> pa.Table:
    """The records of `--golden FILE`: a column for each input and the column `score`, n rows, n > 0; `texts` as of
    `read_sample`.

    Raises:
        CannotPublish: it is no such file, has no rows, or more than `MOST_ROWS`.
    """
    if not path.is_file():
        raise CannotPublish(f"--golden {path} is not a file; expected: {_ALLOWED}")
    table = _lines(path) if path.suffix in _LINES else read_rows("--golden", path, texts)
    if SCORE not in table.schema.names:
        raise CannotPublish(f"--golden {path} has no column {SCORE}; expected: {_ALLOWED}")
    if table.num_rows > MOST_ROWS:
        raise CannotPublish(f"--golden {path} has {table.num_rows} rows; allowed: at most {MOST_ROWS}")
    return table


def trainer_lines(table: pa.Table, inputs: Sequence[Input]) -> bytes:
    """The records as a bundle's golden records; `table` as `read_trainer` gives it.

    Raises:
        CannotPublish: a column is missing, of a type that does not fit, or a score is not a finite number.
    """
    try:
        scores = table.column(SCORE).cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        found = f"the golden records' scores: {one_line(error)}"
        raise CannotPublish(f"{found}; expected: finite numbers") from None
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        raise CannotPublish(f"golden record {wrong[0] + 1} has the score {scores[wrong[0]]}; expected: a finite number")
    return golden_lines(typed_inputs(table, inputs, "the file of golden records"), scores)


def _lines(path: Path) -> pa.Table:
    rows = []
    for number, line in enumerate(path.read_bytes().removeprefix(BOM_UTF8).splitlines(), start=1):
        if line.strip():
            rows.append(_record(line, f"--golden {path} line {number}"))
    if not rows:
        raise CannotPublish(f"--golden {path} has no rows; allowed: one or more")
    try:
        return _table(rows)
    except (pa.ArrowException, OverflowError) as error:
        raise CannotPublish(f"--golden {path}: {one_line(error)}; expected: one type for each input") from None


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """A column for every name of any record; a column of whole and other numbers holds floats."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        mixed = any(isinstance(value, float) for value in values) and not any(isinstance(v, str) for v in values)
        columns[name] = pa.array(values, pa.float64() if mixed else None)
    return pa.table(columns)


def _record(line: bytes, location: str) -> dict[str, Any]:
    try:
        record = parse_object(line)
    except SpecError as error:
        raise CannotPublish(f"{location}: {error}") from None
    inputs, score = record.get("inputs"), record.get("score")
    if set(record) != {"inputs", "score"} or not isinstance(inputs, dict) or SCORE in inputs:
        raise CannotPublish(f'{location} is not allowed; expected: {{"inputs": {{name: value}}, "score": number}}')
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
        raise CannotPublish(f"{location}: score {json.dumps(score)} is not allowed; expected: a finite number")
    return {**inputs, SCORE: float(score)}
