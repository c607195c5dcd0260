"""`python converting.py PICKLE OUT`: opens a pickle and writes what is in it as a skops file.

A program of its own: a pickle can run any code, which then runs in a process that ends, and knows nothing of a store.
"""

import json
import sys
import warnings
from pathlib import Path


def convert(pickle: Path, out: Path) -> None:
    """Writes the object in a pickle of joblib or `pickle` as skops.

    Raises:
        Exception: whatever the pickle does, and skops on an object that it cannot store; also scikit-learn's warning
            that another version made it, which the file that is written would not say any more.
    """
    import joblib  # type: ignore[import-untyped]  # ships no types
    import skops.io
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        found = joblib.load(pickle)
    skops.io.dump(found, out)


def main() -> int:
    """Converts; returns 1, with the error's text in JSON as the last line of standard output, where that fails."""
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:
        print(json.dumps(str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
