"""One cluster node without I/O: see node.py."""
