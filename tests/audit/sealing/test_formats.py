"""Trees, notes and checkpoints are those of an independent implementation: Go's `sumdb/tlog` and `sumdb/note`."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.files.checkpoints import Checkpoint, parse_checkpoint
from audit.files.merkle import GrowingTree, leaf_hash, path, root_by_path, root_of
from audit.files.notes import (
    UnusableNote,
    new_key,
    parse_note,
    parse_private_key,
    parse_public_key,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "sumdb" / "sumdb.json").read_text(encoding="utf-8"))
LEAVES = [leaf_hash(f"leaf {index}".encode()) for index in range(21)]


def test_roots_are_those_of_tlog() -> None:
    assert [root_of(LEAVES[: size + 1]).hex() for size in range(21)] == VECTORS["roots"]


def test_a_tree_that_grows_has_the_roots_of_tlog() -> None:
    grown, roots = GrowingTree(), []
    for leaf in LEAVES:
        grown.add(leaf)
        roots.append(grown.root().hex())
    assert roots == VECTORS["roots"]


def test_proofs_are_those_of_tlog_and_lead_to_the_root() -> None:
    for each in VECTORS["proofs"]:
        leaves, index = LEAVES[: each["size"]], each["index"]
        proof = path(leaves, index)
        assert [step.hex() for step in proof] == each["proof"]
        assert root_by_path(leaves[index], index, len(leaves), proof) == root_of(leaves)


def test_proof_of_another_leaf_index_or_size_leads_elsewhere() -> None:
    root, proof = root_of(LEAVES), path(LEAVES, 5)
    assert root_by_path(LEAVES[6], 5, 21, proof) != root
    assert root_by_path(LEAVES[5], 4, 21, proof) != root
    assert root_by_path(LEAVES[5], 5, 1000, proof) is None
    assert root_by_path(LEAVES[5], 21, 21, proof) is None
    assert root_by_path(LEAVES[5], 5, 21, proof[:-1]) is None
    assert root_by_path(LEAVES[5], 5, 21, [*proof, proof[0]]) is None


@pytest.mark.parametrize("size", [1, 4, 5, 8, 11, 21])
def test_proof_in_a_block_and_of_the_block_is_the_proof_in_the_whole(size: int) -> None:
    blocks = [LEAVES[first : first + 4] for first in range(0, size, 4)]
    blocks[-1] = blocks[-1][: size - 4 * (len(blocks) - 1)]
    roots = [root_of(block) for block in blocks]
    for index in range(size):
        both = [*path(blocks[index // 4], index % 4), *path(roots, index // 4)]
        assert both == path(LEAVES[:size], index)


def test_a_signature_is_byte_for_byte_that_of_sumdb() -> None:
    key = parse_private_key(VECTORS["private"])
    assert key.sign(VECTORS["text"]) == VECTORS["note"]
    assert (key.stated(), str(key.public)) == (VECTORS["private"], VECTORS["public"])


def test_signatures_of_sumdb_are_checked() -> None:
    note, key = parse_note(VECTORS["note_of_two"].encode()), parse_public_key(VECTORS["other_public"])
    assert note.signed_by([key]) == key
    assert note._replace(text=note.text.replace("3", "4", 1)).signed_by([key]) is None
    assert note.signed_by([new_key(key.name).public]) is None


def test_a_checkpoint_is_a_note_of_sumdb() -> None:
    found = parse_checkpoint(VECTORS["note"].encode())
    assert found.said.note(parse_private_key(VECTORS["private"])) == VECTORS["note"].encode()
    assert (found.said.size, found.said.root.hex()) == (3, VECTORS["roots"][2])
    assert (found.said.leaf.hex(), found.said.previous) == (VECTORS["roots"][2], VECTORS["roots"][1])


def test_no_message_shows_a_private_key() -> None:
    key = new_key("halflife/flights")
    secret = key.stated().rpartition("+")[2]
    for wrong in (key.stated()[:-4], key.stated().replace("flights", "loans"), f"x{key.stated()}"):
        with pytest.raises(UnusableNote) as raised:
            parse_private_key(wrong)
        assert secret[:20] not in str(raised.value)
    assert secret not in repr(key)


def test_a_private_key_is_no_public_one() -> None:
    with pytest.raises(UnusableNote, match="it is a private key; expected: the public key"):
        parse_public_key(VECTORS["private"])


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_no_bytes_break_a_parser(junk: bytes, at: int, byte: int) -> None:
    """Only what was signed passes for it: any other bytes are refused, or are another text."""
    whole, key = VECTORS["note"].encode(), parse_public_key(VECTORS["public"])
    changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    for data in (junk, whole + junk, changed, whole[:at]):
        try:
            found = parse_checkpoint(data)
        except UnusableNote:
            continue
        assert data == whole or found.note.signed_by([key]) is None or found.note.text == VECTORS["text"]
    for parse in (parse_private_key, parse_public_key):
        with pytest.raises(UnusableNote):
            parse(junk.decode("latin-1"))


def test_a_checkpoint_states_what_it_was_made_of() -> None:
    said = Checkpoint("halflife/loans", 1, LEAVES[0], "00000001-01jd0000000000000000000000", LEAVES[0], "0" * 64)
    assert parse_checkpoint(said.note(None)).said == said
    assert parse_checkpoint(said.note(None)).note.signatures == ()
