"""Tables joined to events by key as of event time, and the tables that a process holds."""
