"""Where the commands begin: signals act as on a C program before the rest is imported, which takes a tenth of
a second in which a user may already have changed his mind.
"""

import signal
import sys
from importlib import import_module
from typing import NoReturn


def _enter(tool: str) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    sys.exit(import_module(f"pycorosync.tools.{tool}").run())


def blackbox() -> NoReturn:
    """corosync-blackbox"""
    _enter("blackbox")


def cfgtool() -> NoReturn:
    """corosync-cfgtool"""
    _enter("cfgtool")


def cmapctl() -> NoReturn:
    """corosync-cmapctl"""
    _enter("cmapctl")


def cpgtool() -> NoReturn:
    """corosync-cpgtool"""
    _enter("cpgtool")


def keygen() -> NoReturn:
    """corosync-keygen"""
    _enter("keygen")


def notifyd() -> NoReturn:
    """corosync-notifyd"""
    _enter("notifyd")


def quorumtool() -> NoReturn:
    """corosync-quorumtool"""
    _enter("quorumtool")


def vqsim() -> NoReturn:
    """corosync-vqsim"""
    _enter("vqsim")


def xmlproc() -> NoReturn:
    """corosync-xmlproc"""
    _enter("xmlproc")
