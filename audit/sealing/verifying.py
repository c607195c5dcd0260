"""Walks an audit: its checkpoints, its segments, each receipt in them, and what is not sealed yet."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from audit.files.chain import checkpoint_numbers
from audit.files.checkpoints import MAX_BYTES, NONE_BEFORE, StoredCheckpoint, parse_checkpoint
from audit.files.merkle import GrowingTree, leaf_hash, root_of, root_of_all
from audit.files.notes import PublicKey, UnusableNote
from audit.files.reading import PassedOver, ReadStretch, read_file
from audit.files.sealed import SealedSegment
from audit.files.segments import (
    INDEX,
    KINDS,
    MAX_STATEMENT,
    MODELS,
    RECEIPTS,
    SEALED,
    STATEMENT,
    UnusableSegment,
    checkpoint_key,
    parse_statement,
)
from audit.sealing.building import leaf_hashes
from audit.sealing.comparing import compare_container
from audit.sealing.findings import NOT_CHECKED, SIGNED, UNSIGNED, AuditFindings
from audit.sealing.sources import list_sources
from audit.sealing.telling import ToldTruly
from models.store.backends import Backend
from schemas.errors import UnusableData


@dataclass(frozen=True, slots=True)
class AuditTrust:
    """What an audit is held against: the `keys` that may have signed it, its `origin`, and a checkpoint that was `kept`
    elsewhere; each may be unknown."""

    keys: Sequence[PublicKey] = ()
    origin: str | None = None
    kept: StoredCheckpoint | None = None


def verify_segments(backend: Backend, trust: AuditTrust, found: AuditFindings) -> list[SealedSegment]:
    """Walks what is sealed, and says in `found` what is not as it was; the segments whose receipts can be read.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    checkpoints = _checkpoints(backend, trust, found)
    found.segments = max(checkpoints, default=0)
    leaves = {number: each.said.leaf for number, each in checkpoints.items()}
    sound, dropped = list[SealedSegment](), list[SealedSegment]()
    for number, each in checkpoints.items():
        segment = _segment(backend, each, leaves, number, found)
        if segment is not None:
            _files(backend, segment, found, sound, dropped)
    _check_dropped(backend, sound, dropped, found)
    named = {each.said.folder for each in checkpoints.values()}
    found.uncommitted += [f"{SEALED}/{name}" for name in backend.folders(SEALED) if name not in named]
    return sound


def unsealed_stretches(backend: Backend, found: AuditFindings) -> Iterator[tuple[str, ReadStretch]]:
    """The receipts of files that nobody has sealed, each with its file's key. Raises `StoreUnavailable`."""
    for kind, record in KINDS.items():
        for source in list_sources(backend, kind):
            for piece in read_file(backend, source.key, record):
                if isinstance(piece, ReadStretch) and kind == RECEIPTS:
                    yield source.key, piece
                elif isinstance(piece, PassedOver):
                    found.broken_files.setdefault(source.key, piece.why)


def _checkpoints(backend: Backend, trust: AuditTrust, found: AuditFindings) -> dict[int, StoredCheckpoint]:
    """The checkpoints that can be read, by number, each held against those before it."""
    read = dict[int, StoredCheckpoint]()
    numbers = checkpoint_numbers(backend)
    expected = max([*numbers, trust.kept.said.size if trust.kept else 0], default=0)
    for number in range(1, expected + 1):
        data = backend.read(checkpoint_key(number), MAX_BYTES) if number in set(numbers) else None
        if data is None:
            found.removed.append(checkpoint_key(number))
            continue
        try:
            read[number] = parse_checkpoint(data)
        except UnusableNote as error:
            found.altered.append(f"{checkpoint_key(number)}: {error}")
    _hold_together(read, trust, found)
    if read:
        last = read[max(read)]
        unchecked = NOT_CHECKED if last.note.signatures else UNSIGNED
        found.signature = SIGNED if trust.keys and last.note.signed_by(trust.keys) else unchecked
        found.checkpoint = last.digest
    return read


def _hold_together(read: dict[int, StoredCheckpoint], trust: AuditTrust, found: AuditFindings) -> None:
    tree, whole = GrowingTree(), True
    for number, each in read.items():
        key, said = checkpoint_key(number), each.said
        if said.size != number:
            found.reordered.append(f"{key}: it is the checkpoint of {said.size} segments")
        if trust.origin is not None and said.origin != trust.origin:
            found.altered.append(f"{key}: it is of {said.origin!r}; expected: {trust.origin!r}")
        if trust.keys and each.note.signed_by(trust.keys) is None:
            found.altered.append(f"{key}: not signed by {' or '.join(key.name for key in trust.keys)}")
        before = read[number - 1].digest if number - 1 in read else (NONE_BEFORE if number == 1 else said.previous)
        if said.previous != before:
            found.altered.append(f"{checkpoint_key(number - 1) if number > 1 else key}: not the one that {key} names")
        tree.add(said.leaf)
        whole = whole and (number == 1 or number - 1 in read)
        if whole and said.size == number and tree.root() != said.root:
            found.altered.append(f"{key}: its root is not that of the segments up to it")
        if trust.kept is not None and number == trust.kept.said.size and said.root != trust.kept.said.root:
            found.altered.append(f"{key}: the segments up to it are not those of the checkpoint that was kept")


def _segment(
    backend: Backend, checkpoint: StoredCheckpoint, leaves: dict[int, bytes], number: int, found: AuditFindings
) -> SealedSegment | None:
    folder = checkpoint.said.folder
    key = f"{SEALED}/{folder}/{STATEMENT}"
    data = backend.read(key, MAX_STATEMENT)
    if data is None:
        there = backend.list(f"{SEALED}/{folder}")
        found.removed.append(key if there else f"{SEALED}/{folder}")
        return None
    leaf = leaf_hash(data)
    if leaf != checkpoint.said.leaf:
        other = next((each for each, theirs in leaves.items() if theirs == leaf), None)
        (found.altered if other is None else found.reordered).append(
            key if other is None else f"{key}: it is that of segment {other}, not of {number}"
        )
        return None
    try:
        return SealedSegment(backend, folder, parse_statement(data))
    except UnusableSegment as error:
        found.broken_files[key] = str(error)
        return None


def _files(
    backend: Backend,
    segment: SealedSegment,
    found: AuditFindings,
    sound: list[SealedSegment],
    dropped: list[SealedSegment],
) -> None:
    """Holds the files of a segment against its statement, which is as it was sealed."""
    files = segment.statement.files
    there = {key.rpartition("/")[2] for key, _ in backend.list(f"{SEALED}/{segment.folder}")}
    found.added += [segment.key(name) for name in sorted(there - set(files) - {STATEMENT})]
    gone = set(files) - there
    if segment.statement.container in gone <= {INDEX, segment.statement.container}:
        dropped.append(segment)
        return
    found.removed += [segment.key(name) for name in sorted(gone)]
    changed = {
        name for name in files if name in there and name != segment.statement.container
        and _digest(backend, segment.key(name)) != files[name]
    }  # fmt: skip
    found.altered += [segment.key(name) for name in sorted(changed)]
    if segment.statement.container in gone:
        return
    if INDEX in gone | changed:
        same = _digest(backend, segment.file) == files[segment.statement.container]
        found.altered += [] if same else [segment.file]
        return
    told = ToldTruly(segment)
    if _is_whole(backend, segment, told):
        lies = [name for name in told.lies() if name not in gone | changed]
        found.altered += [f"{segment.key(name)}: it does not say what the records say" for name in lies]
        sound.append(segment)
        found.receipts += segment.statement.records if segment.statement.kind == RECEIPTS else 0
        return
    before = found.document()
    compare_container(backend, segment, found)
    if found.document() == before:  # written anew with the same records
        found.altered.append(f"{segment.file}: other bytes, which hold the same records")


def _is_whole(backend: Backend, segment: SealedSegment, told: ToldTruly) -> bool:
    """Whether a container has the bytes that were sealed, and its records are the leaves of the root: in one pass."""
    hashed, roots = sha256(), list[bytes]()
    try:
        hashed.update(backend.read_range(segment.file, 0, segment.index.location(0).start))
        for stored, block in segment.stored_blocks():
            hashed.update(stored)
            hashes = leaf_hashes(block.data, block.location.offsets)
            roots.append(root_of_all(hashes))
            told.add(block, hashes)
    except UnusableData:
        return False
    whole = hashed.hexdigest() == segment.statement.files[segment.statement.container]
    return whole and roots == segment.index.roots() and root_of(roots).hex() == segment.statement.root


def _check_dropped(
    backend: Backend, sound: list[SealedSegment], dropped: list[SealedSegment], found: AuditFindings
) -> None:
    """Segments without records are expired where a model event says so, with their root; else they were removed."""
    said = set[str]()
    if dropped:
        stretches = [part for each in sound if each.statement.kind == MODELS for part in each.stretches()]
        for source in list_sources(backend, MODELS):
            read = read_file(backend, source.key, KINDS[MODELS])
            stretches += [piece for piece in read if isinstance(piece, ReadStretch)]
        said = {root for part in stretches for root in _roots_expired(part)}
    for each in dropped:
        if each.statement.root in said:
            found.expired += each.statement.records if each.statement.kind == RECEIPTS else 0
        else:
            found.removed.append(each.file)


def _roots_expired(part: ReadStretch) -> Iterator[str]:
    kinds, evidence = part.columns.column("kind").to_pylist(), part.columns.column("evidence").to_pylist()
    for kind, text in zip(kinds, evidence, strict=True):
        if kind == "expired":
            try:
                yield str(json.loads(text)["root"])
            except (ValueError, KeyError, TypeError):
                continue


def _digest(backend: Backend, key: str) -> str:
    hashed = sha256()
    for chunk in backend.stream(key):
        hashed.update(chunk)
    return hashed.hexdigest()
