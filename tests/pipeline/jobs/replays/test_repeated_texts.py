"""Whether texts of a column repeat: what a replay of receipts asks before it looks for a second receipt of an event."""

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.replaying.recorded.receipts import all_differ

TEXTS = st.text("ab\0é", max_size=20) | st.text(max_size=3) | st.just("a" * 65)


@given(st.lists(TEXTS), st.integers(0, 9), st.integers(0, 3))
@settings(deadline=None)
@example(["a", "a\0"], 0, 0)  # the same eight bytes, but for their number
@example(["", "", "x"], 1, 0)
def test_texts_differ_where_a_set_has_as_many(texts: list[str], cut: int, skipped: int) -> None:
    whole = pa.array(["z" * 7, *texts], pa.string())
    column = pa.chunked_array([whole.slice(1, cut), whole.slice(1 + cut)])
    assert all_differ(column) == (len(set(texts)) == len(texts))
    texts = texts[skipped:]
    assert all_differ(pa.chunked_array([whole.slice(1 + skipped)])) == (len(set(texts)) == len(texts))


@pytest.mark.parametrize("texts", [["a", None], [None, None], [None, "a", "a"]])
def test_null_is_a_value(texts: list[str | None]) -> None:
    assert all_differ(pa.chunked_array([pa.array(texts, pa.string())])) == (len(set(texts)) == len(texts))
