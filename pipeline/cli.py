"""`python -m pipeline.cli`: the console script `halflife` without its installation."""

from pipeline.console import console

if __name__ == "__main__":
    console()
