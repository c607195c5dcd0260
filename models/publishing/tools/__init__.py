"""What each training tool's files say about a model; one module for each tool."""
