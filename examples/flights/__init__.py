"""The flights example: a year of departures from New York, and how late they arrived."""
