"""An audit with `privacy`: encrypted receipts of a few subjects, their key store, and models trained on some."""

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from audit.files.audit import Audit
from models.privacy.identities import identity_of_subject
from models.privacy.key_store import KeyStore
from models.privacy.receipts import encrypt_receipts, open_receipts
from models.store.backends import Backend
from models.store.store import ModelStore
from schemas.avro.datums import decode_block
from schemas.avro.files import AvroFileWriter, read_blocks
from schemas.records import avsc
from schemas.times import parse_time_us
from tests.audit.containers import receipt, write
from tests.audit.sealing.sealed import file_name
from tests.models.bundle_folders import document
from tests.pipeline.commands.commands import Ran, halflife

FIRST_US = 1_357_000_000_000_000


class Private(NamedTuple):
    """A folder with job, audit and store, and a key store, which is in the folder too unless its URL is given."""

    folder: Path
    url: str = ""

    @property
    def keys_url(self) -> str:
        return self.url or str(self.folder / "keys")

    @property
    def job(self) -> Path:
        return self.folder / "job.yaml"

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    @property
    def keys(self) -> KeyStore:
        return KeyStore(Backend(self.keys_url), fresh_s=0)

    @property
    def store(self) -> ModelStore:
        return ModelStore(str(self.folder / "store"), "delays")

    def ask(self, *words: object) -> Ran:
        return halflife("audit", *words, "--job", self.job)

    def hashes(self, subject: str) -> list[str]:
        return [str(each) for each in self.keys.epochs().of_all(identity_of_subject(subject))]

    def events(self, kind: str) -> list[Any]:
        return [event for event in Audit(str(self.audit)).model_events() if event["kind"] == kind]

    def key_objects(self) -> dict[str, int]:
        """The sizes of all objects of the key store."""
        return {key: size for folder in ("blocks", "register", "epochs")
                for key, size in Backend(self.keys_url).list(folder)}  # fmt: skip

    def add_receipts(self, number: int, rows: list[dict[str, Any]], encrypted: bool = True) -> None:
        """One more file of receipts, as a job with privacy leaves it, or one without."""
        path = write(self.audit / "receipts" / file_name(number), rows)
        if not encrypted:
            return
        [block] = list(read_blocks(BytesIO(path.read_bytes())))
        plain = open_receipts(decode_block(block.data, block.datums, block.schema).rows, [None] * block.datums).receipts
        keys = self.keys
        hidden = encrypt_receipts(plain, keys.epochs(), keys.keys_of, hide_event_id=False)
        with path.open("wb") as stream:
            AvroFileWriter(stream, avsc("Receipt")).write(hidden)

    def publish(self, version: str, *records: str) -> None:
        """A linear model that was trained on these records."""
        payload = self.folder / "payload" / version
        payload.mkdir(parents=True)
        (payload / "trained.csv").write_text("record\n" + "".join(f"{each}\n" for each in records))
        training = {"trained_at": "2013-01-01T00:00:00Z", "records": "trained.csv"}
        self.store.publish(payload, document(model="delays", version=version, training=training))


def private(folder: Path, epochs: int = 1, url: str = "") -> Private:
    """Receipts of 40 events of seven subjects `N0` to `N6` by two versions, of which v1 was trained on `N1`."""
    made = Private(folder, url)
    for number in range(1, epochs):
        made.keys.epoch_log.begin(FIRST_US + number * 10_000_000, now_us=0, notice_us=0)
    for first in (0, 20):
        version = "v1" if first == 0 else "v2"
        made.add_receipts(first, [receipt(first + at, version=version) for at in range(20)])
    made.publish("v1", *made.hashes("N1"))
    made.publish("v2", "N2", "e33")
    made.store.append_release(champion="v1", effective_from_us=parse_time_us("2012-12-01T00:00:00Z"), by="ann")
    made.job.write_text(yaml.safe_dump(_spec(folder, made.keys_url)), encoding="utf-8")
    return made


def _spec(folder: Path, keys_url: str) -> dict[str, Any]:
    return {
        "job": "flights",
        "events": {
            "uri": str(folder / "events.avro"), "format": "avro", "event_id": "id", "event_time": "departed_at",
            "subject": "tailnum",
        },
        "features": ["dep_delay"],
        "model": {"name": "delays", "store": str(folder / "store")},
        "sinks": {name: str(folder / name) for name in ("scores", "audit", "dead_letters")},
        "privacy": {"keys": keys_url},
    }  # fmt: skip
