"""Errors are put on one line in one module: no other module of ours cuts the texts of errors itself."""

import ast
import re

import pytest

from tests.packaging.sources import module_name, parsed, python_files

# Runners import no other room: they put messages of Flink and of buckets on one line themselves.
ROOMS = ("schemas", "models", "audit", "transforms", "pipeline")
HOME = "schemas.reasons"
_CUT = re.compile(r"str\((error|problem|failure|refusal|cause|bug)\)(\.(split|splitlines|strip)\(|\[:)")


@pytest.mark.parametrize("room", ROOMS)
def test_no_text_of_an_error_is_cut_elsewhere(room: str) -> None:
    texts = [
        f"{module_name(path)}: {ast.unparse(one)}"
        for path in python_files(room)
        if module_name(path) != HOME
        for one in ast.walk(parsed(path))
        if isinstance(one, ast.Call | ast.Subscript)
    ]
    assert texts
    assert [text for text in texts if _CUT.search(text)] == []
