"""The loop example: a model wears, advice says so, a new version is trained and becomes champion by its own evidence
(docs/loop.md)."""
