"""`halflife replay --receipts`: the receipts of a job's audit scored again; the job's source is not read."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
from ulid import ULID

from audit.files.audit import NoAudit, ReceiptFilter
from models.errors import StoreError
from models.serving.cache import LoadFailed, worker_name
from pipeline.command_line.options import Replayed, RunOptions
from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.files.earlier_runs import check_earlier_runs, replacing, say_earlier_runs
from pipeline.endpoints.files.opening import make_folder
from pipeline.endpoints.files.origin import RunOrigin
from pipeline.endpoints.outputs import SinkFolder
from pipeline.endpoints.sinks import AvroFormat, BatchWriter, written_file
from pipeline.endpoints.uris import absolute
from pipeline.replaying.locations import check_folder
from pipeline.replaying.recorded.candidates import replay_candidates
from pipeline.replaying.recorded.printing import print_as_recorded, print_candidates
from pipeline.replaying.recorded.recorded_versions import replay_as_recorded
from pipeline.replaying.recorded.rescoring import Write
from pipeline.replaying.recorded.world import World, world_of
from pipeline.reporting.outcomes import RunFailed
from pipeline.reporting.printer import note, print_json
from pipeline.reporting.saying import guarded, say
from pipeline.spec.reading import read_spec
from schemas.records import arrow_schema
from transforms.flow.hiding import Hides
from transforms.scoring.receipts import ReceiptOrigin

_EXPECTED = (RunFailed, SinkUnwritable, StoreError, LoadFailed, NoAudit, OSError)
_FILES = (("scores", "Score", "scores"), ("audit/receipts", "Receipt", "receipts"))


class NotAsRecorded(RunFailed):
    """Receipts whose scores do not come out again, or that cannot be scored; the message counts them."""


def replay_receipts(replayed: Replayed, options: RunOptions) -> int:
    """The verb; returns the exit code: 0 done, 1 failed or not as recorded, 2 bad usage."""
    return guarded(lambda: _replay(replayed, options), options.verbose, _EXPECTED, options.json)


def _replay(replayed: Replayed, options: RunOptions) -> None:
    begun = time.monotonic()
    document, problems = read_spec(options.job, options.settings)
    problems.check()
    out = options.out or ""
    check_folder(document, out)
    world = world_of(document, ReceiptFilter(since_us=replayed.since_us, until_us=replayed.until_us))
    folder = absolute(out).rstrip("/")
    folders = [SinkFolder("--out", f"{folder}/{below}", ".avro", record) for below, record, _ in _FILES]
    replaced = check_earlier_runs(folders, options.sinks, world.job)
    say_earlier_runs(replaced)
    run = str(ULID()).lower()
    origin = ReceiptOrigin(world.job, run, worker_name())
    by = "the versions that they name" if replayed.as_recorded else " and ".join(replayed.versions)
    say(f"replay of receipts of job {world.job} by {by}: {world.audit.url}")
    with replacing(replaced, bounded=True):
        with _written(folders, world, run) as write:
            if replayed.as_recorded:
                report = replay_as_recorded(world, origin, write)
            else:
                report = replay_candidates(world, replayed.versions, origin, write)
        seconds = time.monotonic() - begun
        broken = dict(world.audit.broken)
        told = {"run": run, "job": world.job, "model": world.store.model, **report, "broken_files": broken}
        told |= {"out": {folder.record: folder.uri for folder in folders}, "seconds": round(seconds, 3)}
        if options.json:
            print_json(told)
        else:
            (print_as_recorded if replayed.as_recorded else print_candidates)(told)
        _check(told, replayed.as_recorded)


@contextmanager
def _written(folders: list[SinkFolder], world: World, run: str) -> Iterator[Write]:
    """Writes new receipts, and the scores in them, hidden as those of the job are, while the next ones are computed.
    The files are begun with the first receipts and appear at the end."""
    with ExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1, "write-replay"))
        writers: list[BatchWriter] = []
        waiting: list[Future[None]] = []

        def write(receipts: pa.RecordBatch) -> None:
            if not writers:
                writers.extend(_opened(stack, folders, world.job, run))
            _await(waiting)  # at most one batch waits: memory stays bounded
            waiting.append(thread.submit(_write, writers, receipts, world.hides))

        yield write
        _await(waiting)


def _opened(stack: ExitStack, folders: list[SinkFolder], job: str, run: str) -> Iterator[BatchWriter]:
    for folder, (_, record, prefix) in zip(folders, _FILES, strict=True):
        make_folder(folder.uri, "--out")
        form = AvroFormat(record, RunOrigin(job, run, record))
        yield stack.enter_context(written_file(folder.uri, f"{prefix}-{run}", form))


def _await(waiting: list[Future[None]]) -> None:
    while waiting:
        waiting.pop().result()


def _write(writers: list[BatchWriter], receipts: pa.RecordBatch, hides: Hides | None) -> None:
    scores = receipts.select(arrow_schema("Score").names)
    if hides is not None:
        stored = hides.receipts(receipts)
        scores, receipts = hides.scores(scores, stored), stored
    by_record = {"Score": scores, "Receipt": receipts}
    for writer, (_, record, _prefix) in zip(writers, _FILES, strict=True):
        writer.write(by_record[record])


def _check(told: dict[str, Any], as_recorded: bool) -> None:
    """Raises where the outcome is a failure; what was left out is said."""
    for file, why in told["broken_files"].items():
        note(f"{file}: {why}")
    if told["broken_files"]:
        raise NotAsRecorded(f"{len(told['broken_files'])} files of the audit cannot be read whole; expected: all can")
    if number := told["receipts"].get("unreadable"):
        found = f"{number:,} receipts cannot be decrypted: privacy.keys has no key that opens them"
        raise NotAsRecorded(f"{found}; expected: the key store of the job that wrote them; next: halflife audit verify")
    if not as_recorded:
        return
    wrong = dict.fromkeys(("beyond", "unscored", "ids_differ", "inputs_not_held", "refused"), 0)
    for each in told["versions"].values():
        wrong["refused"] += each["receipts"] if "refused" in each else 0
        for name in ("beyond", "unscored", "ids_differ"):
            wrong[name] += each.get(name, 0) + each.get("late", {}).get(name, 0)
        wrong["inputs_not_held"] += each.get("inputs_not_held", 0)
    if any(wrong.values()):
        counts = ", ".join(f"{number:,} {name}" for name, number in wrong.items() if number)
        raise NotAsRecorded(f"not as recorded: {counts}; expected: the scores on the receipts")
