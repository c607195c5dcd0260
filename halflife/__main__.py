"""`python -m halflife VERB …`: the console script `halflife`, of the Python that runs this."""

import sys
from pathlib import Path


def main() -> None:
    """The console script, whatever folders are in the working directory."""
    ours = Path(__file__).resolve().parents[1]
    if not sys.flags.safe_path and Path(sys.path[0]).resolve() != ours:
        # `-m` puts the working directory first, where a package called models or pipeline would hide ours.
        del sys.path[0]
    from pipeline.console import console

    console()


if __name__ == "__main__":
    main()
