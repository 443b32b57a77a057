"""python -m pycorosync is the daemon."""

from pycorosync.daemon.main import run

run()
