"""Model events that commands add to an audit: each in a file of its own, as a job's are."""

from io import BytesIO

from ulid import ULID

from models.store.backends import Backend
from schemas.avro.files import AvroFileWriter
from schemas.records import ModelEvent, avsc, record_batch

_RECORD = "ModelEvent"


def append_model_event(backend: Backend, event: ModelEvent, job: str | None = None) -> str:
    """Writes an event to `models/`, durable where the store is; the key of its file.

    Raises:
        StoreUnavailable: it was not written.
    """
    stream = BytesIO()
    metadata = {"halflife.record": _RECORD} | ({} if job is None else {"halflife.job": job})
    AvroFileWriter(stream, avsc(_RECORD), metadata=metadata).write(record_batch(_RECORD, [event]))
    key = f"models/models-{event.kind}-{str(ULID.from_timestamp(event.at_us / 1e6)).lower()}.avro"
    backend.create(key, stream.getvalue())
    return key
