"""A bundle: its folder, its manifest, its signature, and the inputs that it reads."""
