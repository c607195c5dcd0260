"""What is installed; the name of this project's distribution, since `halflife` on PyPI is another project."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "halflife-beam"


def installing(extra: str) -> str:
    """The advice where a library of an extra is absent."""
    return f"next: pip install '{DISTRIBUTION}[{extra}]'"


def installed_version(distribution: str) -> str | None:
    """The version of a distribution in this environment; None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
