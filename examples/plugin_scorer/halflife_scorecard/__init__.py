"""Scorecards as models of Halflife."""
