"""What people and machines are told of a run: lines, tables, the summary."""
