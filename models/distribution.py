"""Under which name the project is installed: `halflife` on PyPI is another project's."""

DISTRIBUTION = "halflife-beam"


def installing(extra: str) -> str:
    """The advice where a library of an extra is absent."""
    return f"next: pip install '{DISTRIBUTION}[{extra}]'"
