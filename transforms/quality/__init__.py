"""How good answers are, as their labels come: joined in event time, added up per window, measured with intervals."""
