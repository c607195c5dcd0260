"""A person is forgotten, or kept from being forgotten: what is done with keys, said in the audit, and not reached."""
