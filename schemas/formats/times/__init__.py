"""Event times: the forms in which they are written, and the zones whose clocks show them."""
