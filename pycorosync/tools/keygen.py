"""corosync-keygen: makes the key that the nodes of a cluster share (corosync: tools/corosync-keygen.c).

Unlike corosync before 3.1.10, a random source that ends too early is an error and not an endless loop.
"""

import os
import sys
from typing import NoReturn

from pycorosync.tools.common import EXIT_SUCCESS, LongOption, LongOptions, number, run_tool

PROGRAM = "corosync-keygen"
KEY_FILE = "/etc/corosync/authkey"
RANDOM_SOURCE = "/dev/urandom"
KEY_BYTES, KEY_BYTES_MIN, KEY_BYTES_MAX = 256, 128, 4096

LETTERS = "k:r:s:lh"
NAMES = {
    "key-file": LongOption("k", takes_argument=True),
    "less-secure": LongOption("l"),
    "random-file": LongOption("r", takes_argument=True),
    "size": LongOption("s", takes_argument=True),
    "help": LongOption("h"),
}

# Exit statuses, by the step that failed.
USAGE, CREATE, PERMISSIONS, WRITE, CLOSE = 1, 2, 3, 4, 5

HELP = """\
Usage: corosync-keygen [-k <keyfile>] [-s size] [-m <randomfile>] [-l] [-h]
     -k / --key-file=<filename> -  Write to the specified keyfile
            instead of the default /etc/corosync/authkey.
     -r / --random-file -  Random number source file. Default is\x20
            /dev/urandom. As an example /dev/random may be requested
            (that may require user input for entropy).
     -l / --less-secure - Not used, option is kept only
            for compatibility.
     -s / --size -  Length of key.
     -h / --help -  Print basic usage.
"""


def main(arguments: list[str]) -> int:
    """Make a key; the exit status tells which step failed."""
    key_file, source, size = KEY_FILE, RANDOM_SOURCE, KEY_BYTES
    for letter, argument in LongOptions(arguments, LETTERS, NAMES, program=PROGRAM):
        match letter:
            case "k":
                key_file = argument
            case "r":
                source = argument
            case "s":
                size = _size(argument)
            case "h":
                print(HELP)
                return EXIT_SUCCESS
            case "?":
                print("Error parsing command line options.")
                return USAGE
    print("Corosync Cluster Engine Authentication key generator.")
    print(f"Gathering {size * 8} bits for key from {source}.")
    _write_key(key_file, _gather(source, size))
    return EXIT_SUCCESS


def _size(text: str) -> int:
    size = number(text, KEY_BYTES_MIN, KEY_BYTES_MAX)
    if size is None:
        _fail(USAGE, f"Unsupported key size (supported <{KEY_BYTES_MIN},{KEY_BYTES_MAX}>)\n")
    return size


def _gather(source: str, size: int) -> bytes:
    try:
        fd = os.open(source, os.O_RDONLY)
    except (OSError, ValueError) as fault:
        _fail(USAGE, "Failed to open random source", fault)
    if source == "/dev/random":
        print("Press keys on your keyboard to generate entropy.")
    key = b""
    while len(key) < size:
        try:
            data = os.read(fd, size - len(key))
        except OSError as fault:
            # Compatibility: corosync names this source, whichever it is.
            _fail(USAGE, "Could not read /dev/random", fault)
        if not data:
            _fail(USAGE, f"Unexpected end of {source}")
        key += data
        if missing := size - len(key):
            print(
                f"Press keys on your keyboard to generate entropy ({missing * 8} bits still needed).",
                flush=True,
            )
    os.close(fd)
    return key


def _write_key(path: str, key: bytes) -> None:
    try:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    except (OSError, ValueError) as fault:
        _fail(CREATE, f"Could not create {path}", fault)
    try:
        os.fchmod(fd, 0o400)
    except OSError as fault:
        _fail(PERMISSIONS, "Failed to set key file permissions to 0400", fault)
    print(f"Writing corosync key to {path}.")
    try:
        written = os.write(fd, key)
    except OSError as fault:
        _fail(WRITE, f"Could not write {path}", fault)
    if written != len(key):
        _fail(WRITE, f"Could not write {path}: Success")
    try:
        os.close(fd)
    except OSError as fault:
        _fail(CLOSE, f"Could not close {path}", fault)


def _fail(status: int, text: str, fault: OSError | ValueError | None = None) -> NoReturn:
    """End as err(3) does: the program's name, the text, and what the system says."""
    sys.stdout.flush()
    reason = ""
    if fault is not None:
        reason = f": {fault.strerror if isinstance(fault, OSError) else fault}"
    print(f"{PROGRAM}: {text}{reason}", file=sys.stderr)
    raise SystemExit(status)


def run() -> NoReturn:
    """The command corosync-keygen."""
    run_tool(main)
