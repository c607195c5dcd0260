"""Subscriptions and topics of Pub/Sub."""
