"""One module for each protocol of a model server, and kind of scorer."""
