"""Real servers in tests: the tools that they need, and a skip with the reason where one is absent."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runners.flink.local.parts import PartMissing, missing_tools


def needs(*tools: str) -> pytest.MarkDecorator:
    """The mark of tests that run only where all of these programs are."""
    missing = missing_tools(*tools)
    return pytest.mark.skipif(bool(missing), reason=f"not on the PATH: {', '.join(missing)}")


@contextmanager
def skipped_without(what: str, *tools: str) -> Iterator[None]:
    """Skips, saying `what` and why, where a part cannot be had for want of one of the tools; with them it is raised."""
    try:
        yield
    except PartMissing as absent:
        if not missing_tools(*tools):
            raise
        pytest.skip(f"{what}: {absent}")
