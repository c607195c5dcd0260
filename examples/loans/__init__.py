"""The loans example: applications for car loans from their source to answers about one decision (docs/loans.md)."""
