"""Replays of receipts: what they cost, and the naive way beside it."""

import io
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro

from models.bundles.manifest import Manifest
from pipeline.replaying.recorded import verb  # noqa: F401  what a replay imports is part of the program's start
from pipeline.verbs import main
from schemas.records import avsc
from schemas.score_ids import score_id

MOST = 1_000_000
"""Receipts that are scored again: they are held in memory."""


def replayed(job: Path, out: Path, until: str, words: Sequence[str]) -> tuple[int, float, float]:
    """How many receipts a replay of those before a time read, and its seconds of CPU and on the clock: from the job's
    file to the report, with the new scores and receipts written and compared. The start of the program, which receipts
    do not make longer, is no part of it."""
    told = io.StringIO()
    began, cpu = time.perf_counter(), time.process_time()
    with redirect_stdout(told), redirect_stderr(io.StringIO()):
        code = main(["replay", "--receipts", "--json", "--job", str(job), "--out", str(out), "--to", until, *words])
    cost = time.process_time() - cpu, time.perf_counter() - began
    assert code == 0, told.getvalue()
    return int(json.loads(told.getvalue())["receipts"]["read"]), *cost


def naively(receipts: Path, manifest: Manifest, out: Path, most: int) -> float:
    """Receipts per second of CPU, one by one: `fastavro` in and out, the score, its id, and how far it is from the one
    on the receipt."""
    score, began, apart = _scoring(manifest), time.process_time(), []
    with receipts.open("rb") as stream:
        rows = [row for row in islice(fastavro.reader(stream), most) if isinstance(row, dict)]
    for row in rows:
        again = score(row["features"])
        apart.append(abs(again - row["score"]))
        named = score_id(row["event_id"], manifest.digest, row["role"], row["definitions"])
        row |= {"score": again, "score_id": named, "role": "replay", "release": 0}
    assert max(apart) < 1e-6, "the scores of the receipts come out again"
    for record in ("Score", "Receipt"):
        with (out / f"{record}.avro").open("wb") as written:
            fastavro.writer(written, json.loads(avsc(record)), rows, codec="zstandard")
    return len(rows) / (time.process_time() - began)


def _scoring(manifest: Manifest) -> Callable[[dict[str, Any]], float]:
    linear = manifest.linear
    assert linear is not None
    weights, categories = linear.coefficients, linear.categories

    def score(features: dict[str, Any]) -> float:
        total = linear.intercept + sum(weight * features[name] for name, weight in weights.items())
        total += sum(values.get(features[name], 0.0) for name, values in categories.items())
        return 1 / (1 + math.exp(-total))

    return score
