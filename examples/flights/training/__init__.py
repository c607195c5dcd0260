"""How the models of the example are fitted."""
