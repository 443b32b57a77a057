"""Totem frames in plain datagrams, on one link: see engine.py."""
