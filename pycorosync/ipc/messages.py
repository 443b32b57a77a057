"""The exchange that opens a connection, and the identifiers of libqb's IPC (libqb: lib/ipc_int.h).

Specification: protocol/libqb-ipc.md, sections 1 and 2.
"""

from construct import Aligned, Bytes, Int32sl, Int32ul, Int64sl, Padding, Struct

from pycorosync.wire.fixed import Fixed

# Message ids below zero belong to libqb; services count from zero.
ID_AUTHENTICATE = -1
ID_DISCONNECT = -3

TYPE_SOCKET = 0
TYPE_SHARED_MEMORY = 1

PATH_BYTES = 4096

CONNECT_REQUEST = Fixed(
    "ConnectRequest",
    Struct(
        "id" / Aligned(8, Int32sl),
        "size" / Aligned(8, Int32sl),
        "max_message_bytes" / Int32ul,
        Padding(4),
    ),
)
assert CONNECT_REQUEST.size == 24

CONNECT_RESPONSE = Fixed(
    "ConnectResponse",
    Struct(
        "id" / Aligned(8, Int32sl),
        "size" / Aligned(8, Int32sl),
        "error" / Aligned(8, Int32sl),  # 0 or -errno
        "connection_type" / Int32sl,
        "max_message_bytes" / Int32ul,
        "connection" / Int64sl,  # opaque to the client
        "request" / Bytes(PATH_BYTES),
        "response" / Bytes(PATH_BYTES),
        "event" / Bytes(PATH_BYTES),
    ),
)
assert CONNECT_RESPONSE.size == 12328

# A client may ask for any size up to this; libcorosync's libraries ask for 1 MiB.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


def refusal(error: int) -> bytes:
    """The answer to a client that is not let in; `error` is a negative errno."""
    return CONNECT_RESPONSE.encode(ID_AUTHENTICATE, CONNECT_RESPONSE.size, error, 0, 0, 0, b"", b"", b"")


def acceptance(
    connection_type: int, max_message_bytes: int, connection: int, paths: tuple[str, str, str]
) -> bytes:
    """The answer that gives a client the names of its request, response and event channels."""
    names = [path.encode() for path in paths]
    return CONNECT_RESPONSE.encode(
        ID_AUTHENTICATE, CONNECT_RESPONSE.size, 0, connection_type, max_message_bytes, connection, *names
    )
