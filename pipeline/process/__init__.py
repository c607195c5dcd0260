"""The process of a command: how it starts, and how it ends on a signal."""
