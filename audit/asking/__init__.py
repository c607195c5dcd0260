"""What is asked of an audit, one module for each question: plain documents that a command prints."""
