"""How bytes are described: see fixed.py for whole messages."""
