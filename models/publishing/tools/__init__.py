"""What each training tool's files say of a model, one module for each tool."""
