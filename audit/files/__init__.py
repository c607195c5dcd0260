"""An audit as it lies in a folder or an object store: listed, and read into plain records."""
