"""Fixtures of the loading stories."""

from tests.loading.gated import gated

__all__ = ["gated"]
