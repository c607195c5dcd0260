"""Answers that need no pandas do not wait for it."""

import sys

import pyarrow as pa


def without_pandas() -> None:
    """Lets pyarrow go without pandas in this process, which whoever wants it may still import.

    At the first value that it converts, pyarrow imports pandas if it is installed, to know its columns where it is
    given one: a quarter of a second. It tries that once. Only for programs that load no model: those of some kinds
    convert to data frames by pyarrow.
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NotFound)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(_NotFound)


class _NotFound:
    """Finds every module but pandas elsewhere."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """As `importlib.abc.MetaPathFinder`."""
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
