"""The process of a command: how it starts, and how it ends when it is told to."""
