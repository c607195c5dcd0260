"""Advice to retrain: what a worn model costs, since when, and what says so. No Beam."""
