"""Fixtures of the loading stories."""

from tests.models.loading.gated import gated

__all__ = ["gated"]
