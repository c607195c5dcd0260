"""What the packaging tests know of the sources: which files there are and what each one imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("schemas", "models", "audit", "gates", "transforms", "pipeline", "runners", "halflife")
FOLDERS = (*ROOMS, "tests", "benchmarks", "examples")


class Import(NamedTuple):
    """One imported name: `module` dotted and absolute, `deferred` when it is inside a function, or for types only."""

    path: Path
    line: int
    module: str
    deferred: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def python_files(*folders: str) -> list[Path]:
    """The Python files of these folders of the checkout, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name under which a file is imported from the root of the checkout."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> list[Import]:
    """Every import of a file, also those inside functions; `from a import b` counts as `a.b`."""
    return list(_imports_below(path, parsed(path), deferred=False))


def _imports_below(path: Path, node: ast.AST, deferred: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for module in _imported_modules(path, child):
            yield Import(path, getattr(child, "lineno", 0), module, deferred)
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports_below(path, child, deferred or is_function or _is_for_types_only(child))


def _is_for_types_only(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`, whose imports never run."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imported_modules(path: Path, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    # A relative import starts at the file's own folder; each further dot goes one folder up.
    folders = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
    base = ".".join([*folders, *([node.module] if node.module else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def is_within(module: str, *packages: str) -> bool:
    """Whether a dotted name is one of the packages or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
