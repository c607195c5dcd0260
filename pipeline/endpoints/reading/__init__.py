"""How stored files are found and opened to be read: local ones without Beam, which takes seconds to import."""
