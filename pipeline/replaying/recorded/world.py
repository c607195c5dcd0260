"""What a replay of receipts works on: the job's audit, its store, and the versions that it loads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.files.audit import Audit, ReceiptFilter
from models.admission.admission import Admission
from models.bundles.signing import read_public_key
from models.serving.cache import LoadedModel, ModelCache, ModelHandle
from models.store.store import ModelStore
from pipeline.endpoints.uris import FILE_SCHEMES, beam_path, scheme_of
from pipeline.replaying.refusal import CandidateRefused
from pipeline.spec.job import drift_spec, model_spec
from pipeline.spec.privacy import privacy_of
from pipeline.spec.sinks import uris_of
from schemas.job import DriftSpec, ModelSpec
from schemas.validation import MISSING, SpecError
from transforms.flow.hiding import Hides

if TYPE_CHECKING:
    from audit.files.found.receipt_keys import ReceiptKeys


@dataclass(frozen=True, slots=True)
class World:
    """The job's name, where its receipts and versions are, which receipts are wanted, how scores are compared, and what
    hides its records; None where these are in plain."""

    job: str
    audit: Audit
    wanted: ReceiptFilter
    store: ModelStore
    model: ModelSpec
    drift: DriftSpec
    hides: Hides | None = None

    def load(self, version: str) -> LoadedModel:
        """A version of the store, loaded after every check that a job asks of it.

        Raises:
            CandidateRefused: it may not serve.
            StoreError: the store does not answer.
        """
        key = None if self.model.trusted_key is None else read_public_key(self.model.trusted_key)
        given = (self.store, None, self.model.allow_pickle, self.model.max_bundle_bytes, key)
        timeout_s = self.model.admission_timeout_us / 1e6
        verdict = Admission(*given, timeout_s=timeout_s, trust=self.model.trust).check_version(version)
        if not verdict.admitted or verdict.digest is None:
            raise CandidateRefused(f"not replayed: version {version!r}: {verdict.reason}: {verdict.detail}")
        handle = ModelHandle(self.store.url, self.store.model, version, verdict.digest, self.model.allow_pickle)
        return handle.load(ModelCache(log_loads=True))


def world_of(document: Mapping[str, Any], wanted: ReceiptFilter) -> World:
    """That of a valid job spec. Its source is not looked at.

    Raises:
        SpecError: receipts are not written to files.
        NoAudit: there are none.
        StoreError: the audit or the store cannot be opened.
    """
    named = (document.get("sinks") or {}).get("audit")
    uri = next((each for each in uris_of(named) if scheme_of(each) in FILE_SCHEMES), None)
    if uri is None:
        raise SpecError("sinks.audit", MISSING if named is None else named, "the folder of a job's receipts")
    keys, hides = _privacy_of(document)
    audit = Audit(beam_path(uri) if scheme_of(uri) == "file" else uri, keys)
    audit.check()
    model, store = model_spec(document["model"]), ModelStore(document["model"]["store"], document["model"]["name"])
    return World(document["job"], audit, wanted, store, model, drift_spec(document), hides)


def _privacy_of(document: Mapping[str, Any]) -> "tuple[ReceiptKeys | None, Hides | None]":
    """What opens a job's records, and what hides new ones as the job does; None where they are in plain.

    Raises:
        NoKeyStore, StoreError: the key store has nothing, or cannot be read.
    """
    privacy = privacy_of(document)
    if privacy is None:
        return None, None
    from audit.files.found.receipt_keys import ReceiptKeys  # few jobs have keys, and it takes a while to import
    from models.privacy.key_store import opened_keys
    from models.store.backends import Backend
    from transforms.flow.private_records import PrivateRecords

    opened_keys(Backend(privacy.keys)).epochs()
    hides_ids = document["events"]["event_id"] in privacy.hide
    return ReceiptKeys(privacy.keys), PrivateRecords(privacy, hides_ids)
