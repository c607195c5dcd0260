"""The order in which test processes take files, in `tests/conftest.py`, names files that are there."""

from pathlib import Path

from tests.conftest import LONG, SHARING_SERVERS


def test_what_begins_first_is_there(root: Path) -> None:
    assert [name for name in (*SHARING_SERVERS, *LONG) if not (root / name).exists()] == []
