"""A cluster engine that takes corosync's place: same wire, same clients, same operator's side."""

__version__ = "0.1.0"

# The corosync release whose behaviour this version reproduces; tools and logs report it.
COROSYNC_VERSION = "3.1.7"
