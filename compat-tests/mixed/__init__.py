"""Rings in which some nodes run the distribution's corosync and some this implementation."""
