"""How often drift is reported that is not there, how often it is found that is, and what it costs."""
