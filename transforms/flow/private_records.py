"""Records of a job with `privacy`: encrypted by the keys of one key store, which all steps of a process share."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.privacy.identities import identity_of_subject
from models.privacy.key_store import KeyStore
from models.privacy.letters import encrypt_letters, without_content
from models.privacy.receipts import encrypt_receipts, hashed_ids
from models.privacy.training import RowOrigin, encrypt_rows
from models.store.backends import Backend
from schemas import batches
from schemas.job import PrivacySpec
from schemas.records import arrow_schema

_SCORE = arrow_schema("Score")
_CONTRIBUTION = "contribution"


@lru_cache(maxsize=4)
def _store(url: str) -> KeyStore:
    return KeyStore(Backend(url))


class PrivateRecords:
    """Records whose subjects are keyed hashes, and whose values are encrypted with the key of their subject.

    Args:
        spec: the job's `privacy`.
        hides_ids: ids of events are hashed too.
    """

    def __init__(self, spec: PrivacySpec, hides_ids: bool) -> None:
        self._hides_ids, self._refuses = hides_ids, spec.refuses_erased
        self._store = _store(spec.keys)
        self._store.look_again()

    def event_ids(self, events: pa.RecordBatch) -> pa.Array:
        """As `transforms.flow.hiding.Hides`."""
        ids = events.column(batches.EVENT_ID)
        return hashed_ids(ids, self._store.epochs(), events.column(batches.EVENT_TIME)) if self._hides_ids else ids

    def receipts(self, receipts: pa.RecordBatch) -> pa.RecordBatch:
        """As `transforms.flow.hiding.Hides`."""
        return encrypt_receipts(receipts, self._store.epochs(), self._store.keys_of, self._hides_ids)

    def scores(self, receipts: pa.RecordBatch, stored: pa.RecordBatch) -> pa.RecordBatch:
        """The scores of receipts: reasons keep their names and codes; what each contributed, from which values could be
        computed, is not a number."""
        reasons = receipts.column("reasons")
        each = reasons.values
        columns = {name: each.field(name) for name in (field.name for field in each.type)}
        columns[_CONTRIBUTION] = pa.array(np.full(len(each), np.nan))
        unmeasured = pa.StructArray.from_arrays(list(columns.values()), fields=list(each.type))
        told = pa.ListArray.from_arrays(reasons.offsets, unmeasured, type=reasons.type)
        names = _SCORE.names
        arrays = [told if name == "reasons" else stored.column(name) for name in names]
        return pa.RecordBatch.from_arrays(arrays, schema=stored.select(names).schema)

    def letters(
        self, letters: pa.RecordBatch, subjects: list[str | None], events: list[str | None] | None = None
    ) -> pa.RecordBatch:
        """As `transforms.flow.hiding.Hides`."""
        keys_for, hides_ids = self._store.keys_for, self._hides_ids
        return encrypt_letters(letters, subjects, self._store.epochs(), keys_for, hides_ids, events or ())

    def training_rows(self, rows: pa.RecordBatch, events: pa.RecordBatch) -> pa.RecordBatch:
        """As `transforms.flow.hiding.Hides`."""
        origin = RowOrigin(*(events.column(name) for name in (batches.EVENT_ID, batches.EVENT_TIME, batches.SUBJECT)))
        return encrypt_rows(rows, origin, self._store.epochs(), self._store.keys_for, self._hides_ids)

    def erased(self, events: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """As `transforms.flow.hiding.Hides`."""
        if not self._refuses or not events.num_rows:
            return np.zeros(events.num_rows, np.bool_)
        subjects = events.column(batches.SUBJECT).dictionary_encode("encode")
        known = [identity_of_subject(subject) for subject in subjects.dictionary.to_pylist()]
        of_each = np.array(self._store.erased(known), np.bool_)
        found: npt.NDArray[np.bool_] = of_each[subjects.indices.to_numpy(zero_copy_only=False)]
        return found

    def emptied(self, letters: pa.RecordBatch) -> pa.RecordBatch:
        """As `transforms.flow.hiding.Hides`."""
        return without_content(letters, self._store.epochs(), self._hides_ids)
