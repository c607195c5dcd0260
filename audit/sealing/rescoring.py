"""Receipts scored again by the versions that they name: what a verification of scores is made of."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit.files.formats import is_encrypted
from audit.files.reading import ReadStretch
from audit.files.sealed import SealedSegment
from audit.sealing.findings import AuditFindings
from models.bundles.manifest import Input
from models.bundles.recorded import NotRecorded, recorded_inputs
from models.errors import BundleRefused, NotScored, StoreError, one_line
from models.scorers.asking import ask
from models.serving.cache import LoadedModel, LoadFailed, ModelCache, ModelHandle
from schemas.columns import read_type
from schemas.vectors import vector_of

if TYPE_CHECKING:
    from audit.files.found.receipt_keys import ReceiptKeys

TOLERANCE = 1e-6
_WRONG_DIGEST = "wrong_digest"
_Version = tuple[str, str, str]


class Rescorer:
    """Scores receipts again, and counts in `found` which say what their version answers: to the bit, or within the
    tolerance of its golden records.

    Args:
        store_url: of the versions.
        keys: of receipts that are encrypted; None where there are none at hand.
        allow_pickle: open pickles, which can run any code.
        found: gets the counts and the mismatches.
    """

    def __init__(
        self, store_url: str, allow_pickle: bool, found: AuditFindings, keys: "ReceiptKeys | None" = None
    ) -> None:
        self._store_url, self._allow_pickle, self._found, self._keys = store_url, allow_pickle, found, keys
        self._locked = Counter[tuple[str, str]]()
        self._cache = ModelCache()
        self._models: dict[_Version, LoadedModel | None] = {}

    def take(self, stretch: ReadStretch) -> None:
        """Scores the receipts of a stretch. Raises `StoreUnavailable` where the store does not answer."""
        for which, receipts in _by_version(stretch.columns):
            loaded = self._model(which)
            if loaded is not None:
                readable = self._readable(receipts, f"{which[1]} {which[2]}")
                if readable.num_rows:
                    self._score(readable, loaded)
            elif which[1] + " " + which[2] not in self._found.not_rescored:
                self._found.mismatches += receipts.column("score_id").to_pylist()

    def _readable(self, receipts: pa.RecordBatch, which: str) -> pa.RecordBatch:
        """The receipts whose features can be read; of the others `not_rescored` says how many, and why."""
        if not is_encrypted(receipts):
            return receipts
        from audit.files.found.receipt_keys import opened_receipts  # few audits are encrypted

        opened, locked = opened_receipts(receipts, self._keys)
        for why, number in Counter(filter(None, locked)).items():
            self._locked[which, why] += number
            kind, _, cause = why.partition(": ")
            self._found.not_rescored[f"{which} ({kind})"] = f"{self._locked[which, why]} receipts: {cause or kind}"
        return opened if not any(locked) else opened.filter(pa.array([not why for why in locked]))

    def _model(self, which: _Version) -> LoadedModel | None:
        """The version; None where the store's is another one, or there is none now, which `not_rescored` says."""
        if which not in self._models:
            model, version, digest = which
            self._models[which] = None
            try:
                handle = ModelHandle(self._store_url, model, version, digest, self._allow_pickle)
                self._models[which] = handle.load(self._cache)
            except LoadFailed as failed:
                if failed.reason != _WRONG_DIGEST:
                    self._found.not_rescored[f"{version} {digest}"] = f"{failed.reason}: {failed.detail}"
            except (BundleRefused, StoreError) as error:
                self._found.not_rescored[f"{version} {digest}"] = one_line(error)
        return self._models[which]

    def _score(self, receipts: pa.RecordBatch, model: LoadedModel) -> None:
        golden = model.manifest.golden
        tolerance = TOLERANCE if golden is None else golden.tolerance
        ids = receipts.column("score_id")
        said = receipts.column("score").to_numpy()
        try:
            answers = ask(model.scorer, inputs_of(receipts.column("features"), model.manifest.inputs))
        except (NotScored, NotRecorded) as error:
            if len(ids) > 1:  # one that cannot be scored says nothing of the others
                for row in range(len(ids)):
                    self._score(receipts.slice(row, 1), model)
                return
            self._found.mismatches += [f"{ids[0].as_py()}: {one_line(error)}"]
            return
        same = (answers == said) | (np.abs(answers - said) <= tolerance)
        self._found.verified += int(same.sum())
        if not same.all():
            self._found.mismatches += ids.filter(pa.array(~same)).to_pylist()


def _by_version(receipts: pa.RecordBatch) -> Iterator[tuple[_Version, pa.RecordBatch]]:
    """The receipts of each version; nothing is copied where all are of one."""
    columns = [receipts.column(name) for name in ("model", "version", "digest")]
    if receipts.num_rows and all(len(each.unique()) == 1 for each in columns):
        yield (columns[0][0].as_py(), columns[1][0].as_py(), columns[2][0].as_py()), receipts
        return
    rows = defaultdict[_Version, list[int]](list)
    for row, (model, version, digest) in enumerate(zip(*(each.to_pylist() for each in columns), strict=True)):
        rows[model, version, digest].append(row)
    for which, chosen in rows.items():
        yield which, receipts.take(pa.array(chosen))


def inputs_of(features: pa.MapArray, inputs: Sequence[Input]) -> pa.RecordBatch:
    """What a scorer read, of the features of receipts: by columns where all have the same names in the same order.

    Raises:
        NotRecorded: a receipt lacks an input, or has it as something else.
    """
    found = _by_columns(features, inputs)
    if found is not None:
        return found
    return recorded_inputs([dict(each) for each in features.to_pylist()], inputs)


def _by_columns(features: pa.MapArray, inputs: Sequence[Input]) -> pa.RecordBatch | None:
    offsets = features.offsets.to_numpy()
    count, width = len(features), int(offsets[1] - offsets[0]) if len(features) else 0
    keys = features.keys.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    regular = width and bool(np.all(np.diff(offsets) == width)) and not features.null_count
    if not regular or any(vector_of(entry.type) is not None for entry in inputs):
        return None
    names = keys.slice(0, width).to_pylist()
    encoded = keys.dictionary_encode()
    if not np.array_equal(encoded.indices.to_numpy(), np.tile(encoded.indices.slice(0, width).to_numpy(), count)):
        return None
    values = features.items
    columns = []
    for entry in inputs:
        if entry.name not in names:
            return None
        column = _column(values, np.arange(count) * width + int(offsets[0]) + names.index(entry.name), entry)
        if column is None:
            return None
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, [entry.name for entry in inputs])


def _column(values: pa.UnionArray, at: np.ndarray, entry: Input) -> pa.Array | None:
    """One feature of all receipts; None where it has several types, or cannot be this input."""
    codes = np.asarray(values.type_codes)[at]
    there = {values.type.field(int(code)).type for code in np.unique(codes)} - {pa.null()}
    if len(there) > 1:
        return None
    (kind,) = there or {pa.null()}
    if kind == pa.null():
        return pa.nulls(len(at), read_type(entry.type))
    child = next(index for index in range(values.type.num_fields) if values.type.field(index).type == kind)
    found = values.field(child).take(pa.array(at))
    known = pa.array(codes == child)
    try:
        return pc.if_else(known, found, pa.scalar(None, found.type)).cast(read_type(entry.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def rescore_segments(segments: Sequence[SealedSegment], rescorer: Rescorer, sample: int | None) -> None:
    """Scores the receipts of sound segments again: all, or so many chosen at random. Raises as `SealedSegment.find`."""
    total = sum(each.statement.records for each in segments)
    if sample is None or sample >= total:
        for segment in segments:
            for stretch in segment.stretches():
                rescorer.take(stretch)
        return
    chosen = sorted(random.SystemRandom().sample(range(total), sample))
    first = 0
    for segment in segments:
        end = first + segment.statement.records
        for stretch in segment.records([row - first for row in chosen if first <= row < end]):
            rescorer.take(stretch)
        first = end
