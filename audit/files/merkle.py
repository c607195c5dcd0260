"""Hash trees of RFC 6962: roots, and proofs that a leaf is in a tree.

A tree whose leaves are in blocks of the same power of two is the tree over the roots of the blocks: a proof within a
block, and one of the block among the blocks, are together the proof in the whole (`path` of both).
"""

from collections.abc import Sequence
from hashlib import sha256

from schemas.native import compiled
from schemas.native.hashing import each_of

HASH_BYTES = 32
_MAX_HEIGHT = 64


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf.

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node with two children."""
    return sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over the hashes of leaves, or over the roots of equal blocks of a power of two of leaves.

    >>> root_of([]).hex()[:16], root_of([leaf_hash(b"a")]) == leaf_hash(b"a")
    ('e3b0c44298fc1c14', True)
    """
    level = list(hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else sha256(b"").digest()


def root_of_all(hashes: bytes) -> bytes:
    """As `root_of`, of hashes back to back.

    >>> root_of_all(leaf_hash(b"a") + leaf_hash(b"b")) == node_hash(leaf_hash(b"a"), leaf_hash(b"b"))
    True
    """
    return roots_of_blocks(hashes, len(hashes) // HASH_BYTES) if hashes else root_of([])


def roots_of_blocks(hashes: bytes, rows: int) -> bytes:
    """The root over each `rows` of some hashes, the last over those that are left, back to back.

    >>> roots_of_blocks(leaf_hash(b"a") + leaf_hash(b"b"), 1) == leaf_hash(b"a") + leaf_hash(b"b")
    True
    """
    if compiled.EACH is not None:
        return bytes(compiled.EACH.tree_roots(hashes, rows))
    size = HASH_BYTES * rows
    return b"".join([root_of(each_of(hashes[at : at + size])) for at in range(0, len(hashes), size)])


class GrowingTree:
    """A tree that grows by one leaf at a time: the roots of its full subtrees, the greatest first."""

    def __init__(self) -> None:
        self._full = list[tuple[int, bytes]]()

    def add(self, leaf: bytes) -> None:
        """One more leaf, by its hash."""
        size, root = 1, leaf
        while self._full and self._full[-1][0] == size:
            root = node_hash(self._full.pop()[1], root)
            size *= 2
        self._full.append((size, root))

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._full:
            return root_of([])
        found = self._full[-1][1]
        for _, left in reversed(self._full[:-1]):
            found = node_hash(left, found)
        return found


def path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of a leaf: the hashes beside its way to the root, from the leaf upwards.

    >>> leaves = [leaf_hash(each) for each in (b"a", b"b", b"c")]
    >>> path(leaves, 2) == [node_hash(*leaves[:2])]
    True
    """
    proof, level = [], list(hashes)
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            proof.append(level[beside])
        level, index = _above(level), index >> 1
    return proof


def root_by_path(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to (RFC 9162, 2.1.3.2); None where it cannot be one of this leaf in a tree of `size`.

    >>> leaves = [leaf_hash(each) for each in (b"a", b"b", b"c")]
    >>> root_by_path(leaves[1], 1, 3, path(leaves, 1)) == root_of(leaves)
    True
    """
    if not 0 <= index < size or size > 2**_MAX_HEIGHT or len(proof) > _MAX_HEIGHT:
        return None
    last, found = size - 1, leaf
    for each in proof:
        if last == 0 or len(each) != HASH_BYTES:
            return None
        if index & 1 or index == last:
            found = node_hash(each, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, each)
        index, last = index >> 1, last >> 1
    return found if last == 0 else None


def _above(level: list[bytes]) -> list[bytes]:
    """The level above; a last hash without another beside it stands for itself there."""
    pairs = [sha256(b"\1" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    return [*pairs, level[-1]] if len(level) & 1 else pairs
