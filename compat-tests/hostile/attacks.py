"""Attacks on the daemon's IPC; run on the daemon's host: attacks.py NAME [COUNT [SEED]].

Each prints what it did. None of them is a request that root may make to stop or change the cluster.
"""

import errno
import itertools
import mmap
import os
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from raw_client import (
    BEING_WRITTEN,
    DEAD,
    HEADER,
    RESPONSE_SIZE,
    SERVICES,
    RawClient,
    Refused,
    dial,
    hello,
    receive_response,
)

CPG_JOIN, CPG_MCAST, CPG_LOCAL_GET, CPG_MEMBERSHIP = 0, 2, 4, 3
CMAP_GET = 2
# Requests that mean what they say when complete: stop or kill a node, change votes, register a device.
RELOAD = 7
OBEYED = {"cfg": {2, 3}, "votequorum": {1, 2, 5, 6, 7, 8, 9}}
PATIENCE = 50
ODD_SIZES = (0, -1, -(2**31), 2**31 - 1, 1, 8, 15, 16, 17, 23, 24, 4096, 2**20, 2**24)

_JOINS = itertools.count()


def cpg_name(name: bytes) -> bytes:
    return struct.pack("<I4x128s", len(name), name)


def join(client: RawClient, name: bytes) -> None:
    # A process number of its own for each: one process may be in a group only once.
    claimed = os.getpid() * 100000 % 2**31 + next(_JOINS)
    answer = client.ask(CPG_JOIN, cpg_name(name) + struct.pack("<II8x", claimed, 0))
    error = struct.unpack_from("<i", answer, 16)[0]
    if error != 1:
        raise RuntimeError(f"cpg_join: {error}")


def mcast(payload: bytes) -> bytes:
    return HEADER.pack(CPG_MCAST, 40 + len(payload)) + struct.pack("<8xI4xI4x", 2, len(payload)) + payload


def ask_cmap(client: RawClient) -> bytes:
    return client.ask(CMAP_GET, cpg_name(b"totem.version").ljust(264, b"\0") + b"\0" * 16)


# --- requests


def random_requests(count: int, rng: random.Random) -> Counter[str]:
    """Any id, any length, any bytes, any claimed size, to every service in turn."""
    done: Counter[str] = Counter()
    clients = {service: RawClient(service) for service in SERVICES}
    refused: Counter[str] = Counter()  # how often in a row a service's ring had no room
    turns = itertools.count()
    while done["requests"] < count:
        turn = next(turns)
        service = SERVICES[turn % len(SERVICES)]
        client = clients[service]
        if turn % 50 < 5:
            done["responses and events"] += client.drain()
        if client.send(*_random_request(service, rng)):
            done["requests"] += 1
            refused[service] = 0
            continue
        if client.alive() and refused[service] < PATIENCE:
            refused[service] += 1
            done["responses and events"] += client.drain()
            time.sleep(0.001)
            continue
        # Ended by the daemon; or a lie about a chunk's length has made our own ring look full for good.
        done["confused itself" if client.alive() else "disconnected"] += 1
        client.close()
        clients[service] = RawClient(service)
        refused[service] = 0
    for client in clients.values():
        client.drain()
        client.close()
    return done


def _random_request(service: str, rng: random.Random) -> tuple[bytes, int | None]:
    identifier = rng.choice(
        [rng.randrange(14), rng.randrange(14), rng.randrange(-5, 300), rng.getrandbits(32) - 2**31]
    )
    if service == "cfg" and identifier == RELOAD and rng.random() < 0.99:
        identifier += 1  # each reload reads and compares whole files: a few are enough
    if identifier in OBEYED.get(service, ()):
        length = rng.randrange(4)  # always cut short
    else:
        length = rng.choice([rng.randrange(64), rng.randrange(400), rng.randrange(4000)])
    body = _random_body(length, rng)
    claimed = rng.choice([16 + length] * 6 + list(ODD_SIZES)) if rng.random() < 0.5 else 16 + length
    if identifier in OBEYED.get(service, ()):
        claimed = 16 + length
    chunk = HEADER.pack(identifier, claimed) + body
    if rng.random() < 0.05:
        chunk = chunk[: rng.randrange(16)]
    # Rarely the ring itself lies about the chunk's length; the daemon may end the connection for that.
    lie = rng.choice((0, 4, len(chunk) - 1, len(chunk) + 1)) if rng.random() < 0.002 else None
    return chunk, lie


def _random_body(length: int, rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.4:
        return rng.randbytes(length)
    if kind < 0.6:
        return bytes(length)
    if kind < 0.7:
        return b"\xff" * length
    # Small and extreme numbers where the fields are: every 8 bytes.
    edges = (0, 1, 2, 127, 128, 255, 384, 2**31 - 1, 2**31, 2**32 - 1)
    return b"".join(struct.pack("<I4x", rng.choice(edges)) for _ in range(length // 8 + 1))[:length]


def unread_responses(count: int, rng: random.Random) -> Counter[str]:
    """Asks and never reads an answer: neither its response ring nor its events."""
    done: Counter[str] = Counter()
    client = RawClient("cpg")
    for _ in range(count):
        if client.send(HEADER.pack(CPG_LOCAL_GET, 16)):
            done["requests"] += 1
        elif client.alive():
            done["waits for room"] += 1
            time.sleep(0.0002)
        else:
            done["disconnected"] += 1
            client.close()
            client = RawClient("cpg")
    client.close()
    return done


# --- setting up a connection


def setup_deaths(count: int, rng: random.Random) -> Counter[str]:
    """Dies in each phase of the setup, with each kind of half-done work."""
    done: Counter[str] = Counter()
    for number in range(count):
        name, phase = PHASES[number % len(PHASES)]
        with suppress(Refused, OSError):
            phase(rng.choice(SERVICES), rng)
        done[name] += 1
    return done


def _says_nothing(service: str, rng: random.Random) -> None:
    dial(service).close()


def _says_half(service: str, rng: random.Random) -> None:
    with dial(service) as connection:
        connection.sendall(hello()[: rng.randrange(1, 24)])


def _says_it_bytewise(service: str, rng: random.Random) -> None:
    with dial(service) as connection:
        for byte in hello():
            connection.sendall(bytes([byte]))
        receive_response(connection)


def _says_nonsense(service: str, rng: random.Random) -> None:
    with dial(service) as connection:
        connection.sendall(rng.randbytes(rng.choice((24, 24, 100, 5000))))
        receive_response(connection)


def _asks_for_odd_sizes(service: str, rng: random.Random) -> None:
    with dial(service) as connection:
        identifier = rng.choice((-1, -1, 0, 7))
        connection.sendall(hello(identifier, rng.choice((24, 24, *ODD_SIZES)), rng.choice(ODD_SIZES)))
        receive_response(connection)


def _leaves_before_the_answer(service: str, rng: random.Random) -> None:
    with dial(service) as connection:
        connection.sendall(hello())


def _leaves_within_the_answer(service: str, rng: random.Random) -> None:
    with dial(service) as connection:
        connection.sendall(hello())
        connection.recv(rng.randrange(1, RESPONSE_SIZE))


def _leaves_before_mapping(service: str, rng: random.Random) -> None:
    with dial(service) as connection:
        connection.sendall(hello())
        receive_response(connection)


def _sends_descriptors(service: str, rng: random.Random) -> None:
    with dial(service) as connection, open("/dev/null") as null:
        socket.send_fds(connection, [hello()], [null.fileno()] * 10)
        receive_response(connection)


def _leaves_connected(service: str, rng: random.Random) -> None:
    RawClient(service).close()


def _leaves_while_writing(service: str, rng: random.Random) -> None:
    client = RawClient(service)
    client.send(HEADER.pack(0, 16), magic=rng.choice((BEING_WRITTEN, DEAD, 0)))
    client.close()


def _writes_without_post(service: str, rng: random.Random) -> None:
    client = RawClient(service)
    client.send(HEADER.pack(0, 16), post=False)
    client.close()


def _posts_without_writing(service: str, rng: random.Random) -> None:
    client = RawClient(service)
    for _ in range(20):
        client.request.post()
    client.notify(20)
    client.drain()
    client.close()


def _notifies_without_writing(service: str, rng: random.Random) -> None:
    client = RawClient(service)
    client.notify(1000)
    client.close()


def _removes_its_files(service: str, rng: random.Random) -> None:
    client = RawClient(service)
    for ring in client.rings:
        for path in (ring.header_path, ring.data_path):
            with suppress(FileNotFoundError):
                os.unlink(path)
    client.close()


PHASES: list[tuple[str, Callable[[str, random.Random], None]]] = [
    (phase.__name__.strip("_"), phase)
    for phase in (
        _says_nothing,
        _says_half,
        _says_it_bytewise,
        _says_nonsense,
        _asks_for_odd_sizes,
        _leaves_before_the_answer,
        _leaves_within_the_answer,
        _leaves_before_mapping,
        _sends_descriptors,
        _leaves_connected,
        _leaves_while_writing,
        _writes_without_post,
        _posts_without_writing,
        _notifies_without_writing,
        _removes_its_files,
    )
]


def churn(count: int, rng: random.Random) -> Counter[str]:
    """Connects, asks once, leaves."""
    for _ in range(count):
        client = RawClient("cmap")
        ask_cmap(client)
        client.close()
    return Counter(connections=count)


def crowd(count: int, rng: random.Random) -> Counter[str]:
    """Many clients at once, each of which is answered."""
    clients = [RawClient("cmap") for _ in range(count)]
    for client in clients:
        ask_cmap(client)
    for client in clients:
        client.close()
    return Counter(clients=count)


def half_open_crowd(count: int, rng: random.Random) -> Counter[str]:
    """Many sockets that never say who they are, while one honest client comes."""
    idle = [dial(rng.choice(SERVICES)) for _ in range(count)]
    for connection in idle[::2]:
        connection.sendall(hello()[:10])
    client = RawClient("cmap")
    ask_cmap(client)
    client.close()
    for connection in idle:
        connection.close()
    return Counter(sockets=count)


# --- shared memory


def scribble(count: int, rng: random.Random) -> Counter[str]:
    """Writes anything into the ring headers and data while it talks."""
    done: Counter[str] = Counter()
    for _ in range(count):
        client = RawClient(rng.choice(SERVICES))
        client.send(HEADER.pack(rng.randrange(12), 16))
        ring = rng.choice(client.rings)
        for _ in range(rng.randrange(1, 4)):
            # Indices and sizes; reference count; flow-control word; chunk headers. The semaphores have an
            # attack of their own.
            target, offset = rng.choice(
                [
                    (ring.header, 0),
                    (ring.header, 4),
                    (ring.header, 8),
                    (ring.header, 8204),
                    (ring.header, 8240),
                ]
                + [(ring.data, 4 * rng.randrange(64)) for _ in range(5)]
            )
            if offset + 4 <= len(target):
                value = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, ring.words, rng.getrandbits(32)))
                struct.pack_into("<I", target, offset, value)
        for _ in range(3):
            ring.post()
            client.request.post()
            done["notified"] += client.notify()
        done["ended by the daemon"] += not client.alive()
        client.close()
        done["clients"] += 1
    return done


def scribble_semaphores(count: int, rng: random.Random) -> Counter[str]:
    """Sets the semaphores' counts to anything."""
    for _ in range(count):
        client = RawClient(rng.choice(SERVICES))
        for ring in client.rings:
            struct.pack_into("<I", ring.header, 8208, rng.choice((0, 1, 1000, 2**31 - 2, 2**31 - 1)))
        client.send(HEADER.pack(4, 16))
        client.notify(5)
        client.close()
    return Counter(clients=count)


def truncate(count: int, rng: random.Random) -> Counter[str]:
    """Cuts its ring files short under the daemon, which has them mapped, and makes it touch them."""
    done: Counter[str] = Counter()
    for number in range(count):
        client = RawClient("cpg")
        join(client, b"cut")
        ring = client.rings[number % 3]
        path = ring.header_path if rng.random() < 0.5 else ring.data_path
        with suppress(FileNotFoundError):
            os.truncate(path, rng.choice((0, 0, 4096)))
            done[f"cut {('request', 'response', 'event')[number % 3]}"] += 1
        # Without touching our own mapping: wake the daemon, and let others send into the group.
        client.notify(3)
        other = RawClient("cpg")
        join(other, b"cut")
        other.send(mcast(b"x" * 20000))
        other.ask(CPG_LOCAL_GET, b"")
        other.close()
        client.socket.close()
    return done


def full_shm(count: int, rng: random.Random) -> Counter[str]:
    """Connects when /dev/shm is full: the daemon must refuse, not die of SIGBUS later."""
    done: Counter[str] = Counter()
    for number in range(count):
        # Leave room for none, for some, or for almost all of a connection's files.
        with Full("/dev/shm", spare_kb=(number * 577) % 3300):
            try:
                client = RawClient(rng.choice(SERVICES))
            except Refused as refusal:
                done[f"refused: {errno.errorcode.get(refusal.code, refusal.code)}"] += 1
                continue
            except (OSError, ValueError) as error:
                done[type(error).__name__] += 1
                continue
            done["let in"] += 1
            client.drain()
            client.socket.close()
    client = RawClient("cmap")
    ask_cmap(client)
    client.close()
    return done


class Full:
    """Fill a tmpfs but for `spare_kb`."""

    def __init__(self, directory: str, spare_kb: int) -> None:
        self.path = f"{directory}/filler"
        free = os.statvfs(directory)
        self.size = max(free.f_bavail * free.f_frsize - spare_kb * 1024, 4096)

    def __enter__(self) -> None:
        fd = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        os.posix_fallocate(fd, 0, self.size)
        os.close(fd)

    def __exit__(self, *unused: object) -> None:
        os.unlink(self.path)


# --- events


def never_reads(count: int, rng: random.Random) -> Counter[str]:
    """Joins a group and reads none of its messages, while another member sends `count` of 1000 bytes."""
    done: Counter[str] = Counter()
    deaf = RawClient("cpg")
    join(deaf, b"deaf")
    talker = RawClient("cpg")
    join(talker, b"deaf")
    message = mcast(b"y" * 1000)
    while done["messages"] < count:
        if talker.send(message):
            done["messages"] += 1
        elif not talker.alive():
            raise RuntimeError("the sender was disconnected")
        talker.drain()
    done["the deaf one was disconnected"] = int(not deaf.alive())
    deaf.close()
    talker.close()
    return done


# --- rights


def stranger(count: int, rng: random.Random) -> Counter[str]:
    """As a user whom nobody let in."""
    done: Counter[str] = Counter()
    os.setgid(65534)
    os.setuid(65534)
    for number in range(count):
        try:
            RawClient(SERVICES[number % len(SERVICES)]).close()
        except Refused as refusal:
            done[errno.errorcode.get(refusal.code, str(refusal.code))] += 1
        else:
            done["let in"] += 1
    return done


def eavesdropper(count: int, rng: random.Random) -> Counter[str]:
    """As a stranger: opens what root's clients have in /dev/shm."""
    done: Counter[str] = Counter()
    clients = [RawClient("cpg") for _ in range(count)]
    if os.fork() == 0:
        os.setgid(65534)
        os.setuid(65534)
        os._exit(any(_readable(path) for path in _shm_files()))
    done["readable"] = int(os.wait()[1] != 0)
    done["files"] = sum(1 for _ in _shm_files())
    for client in clients:
        client.close()
    return done


def _shm_files() -> Iterator[str]:
    for directory, _, names in os.walk("/dev/shm"):
        yield from (os.path.join(directory, name) for name in names)


def _readable(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ):
        os.close(fd)
    return True


ATTACKS: dict[str, Callable[[int, random.Random], Counter[str]]] = {
    attack.__name__: attack
    for attack in (
        random_requests,
        unread_responses,
        setup_deaths,
        churn,
        crowd,
        half_open_crowd,
        scribble,
        scribble_semaphores,
        truncate,
        full_shm,
        never_reads,
        stranger,
        eavesdropper,
    )
}


def main() -> int:
    name, *rest = sys.argv[1:]
    count = int(rest[0]) if rest else 100
    seed = int(rest[1]) if rest[1:] else 1
    done = ATTACKS[name](count, random.Random(seed))
    print(
        f"{name}({count}, seed {seed}): "
        + ", ".join(f"{what} {times}" for what, times in sorted(done.items()))
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
