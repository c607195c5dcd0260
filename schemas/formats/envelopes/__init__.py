"""Records within the envelopes of Debezium and CloudEvents."""
