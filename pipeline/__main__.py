"""`python -m pipeline`: run a job."""

from pipeline.console import module

if __name__ == "__main__":
    module()
