"""A sealer for the audit of a job."""

from collections.abc import Callable

from audit.files.chain import read_chain
from audit.files.checkpoints import origin_of
from audit.files.notes import PrivateKey
from audit.sealing.sealing import Sealer, SealLimits
from models.store.backends import Backend
from schemas.times import now_us


def open_sealer(
    url: str, job: str, key: PrivateKey | None, limits: SealLimits, clock_us: Callable[[], int] = now_us
) -> Sealer:
    """The sealer of an audit, whose checkpoints keep the origin that they have; the first one names the job.

    Raises:
        InvalidStoreUrl: no object store can be opened with the URL.
        BrokenChain: its checkpoints do not follow from each other.
        StoreUnavailable: the store did not answer.
    """
    backend = Backend(url)
    last = read_chain(backend).last
    return Sealer(backend, last.said.origin if last else origin_of(job), key, limits, clock_us)
