"""What all steps share: coders, shards, state, timers, metrics, dead letters."""
