"""What all ways compute: the same events, the same model, the same features, the same output records."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOUR_US = 3_600_000_000
KEYS = ("origin", "dest", "carrier")
VALUE = "dep_delay"
PLAIN = ("dep_delay", "distance", "sched_dep_hour")
# Each key has these, over its events of the hour before the event's own (docs/design.md §7 with size = every = 1 h).
PER_KEY = ("departures_1h", "delay_mean_1h", "delay_max_1h")
FEATURES = (*PLAIN, *(f"{key}_{name}" for key in KEYS for name in PER_KEY))
# An hour without events has no mean and no maximum: the model's inputs default to this.
DEFAULT = 0.0
ROLE = "champion"


@dataclass(frozen=True, slots=True)
class Times:
    """When a run was about to process its first event, and when all was written; seconds since the epoch."""

    first_event_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Workload:
    """One prepared run: absolute paths, and the identity that goes into every score.

    `events` is a glob of Avro container files, `skops` and `pickle` are the same fitted estimator in two
    formats, `out` is an empty folder of this run alone, `marks` is the file that the run writes its times to.
    """

    events: str
    store: str
    skops: str
    pickle: str
    out: str
    marks: str
    model: str
    version: str
    release: int
    digest: str
    definitions: str

    def save(self, path: Path) -> None:
        """Writes the workload as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @staticmethod
    def read(path: Path) -> "Workload":
        """The workload that `save` wrote; TypeError where a field is missing or unknown."""
        return Workload(**json.loads(path.read_text()))


def score_id(event_id: str, digest: str, definitions: str) -> str:
    """First 32 hex digits of sha256(`event_id|digest|role|definitions`) for the champion (docs/design.md §6)."""
    return hashlib.sha256(f"{event_id}|{digest}|{ROLE}|{definitions}".encode()).hexdigest()[:32]


def avro_schema(record: str) -> str:
    """The JSON of an output record's Avro schema, the job's own: `Score` or `Receipt`."""
    return (ROOT / "schemas" / "avsc" / f"{record}.avsc").read_text()
