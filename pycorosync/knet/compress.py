"""Compression of whole messages, and decompression with a bound (libknet: compress.c; protocol/knet.md).

The models lz4, lz4hc, lzo2 and zstd need a package each: lz4, lzallright, zstandard. A node that lacks one
says so when it is told to compress with it, and drops what others have compressed with it.
"""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pycorosync.errors import MalformedMessage
from pycorosync.knet.messages import PAYLOAD_MAX
from pycorosync.types import Buffer

# A compressor may make a message longer; this much more libknet's buffers hold.
OUTPUT_MAX: Final = PAYLOAD_MAX + 1024
THRESHOLD_DEFAULT: Final = 100
NO_MODEL: Final = "none"
# The largest dictionary of xz (preset 9) is 64 MiB; a header may ask for 4 GiB.
LZMA_MEMORY_MAX: Final = 100 << 20
ZSTD_WINDOW_MAX: Final = 1 << 20


class Unusable(Exception):
    """The operator's choice of compression cannot be used; the text says why."""


class Unsupported(MalformedMessage):
    """A message is compressed with a model that this node lacks."""


@dataclass(frozen=True, slots=True)
class Model:
    """One of knet's models."""

    number: int  # in data packets
    name: str  # in corosync.conf
    default_level: int
    compress: Callable[[Buffer, int], bytes]  # (message, level); raises what its library raises
    decompress: Callable[[Buffer], bytes]  # returns more than OUTPUT_MAX bytes if there are more
    package: str | None = None  # to import; part of the standard library if None

    @property
    def available(self) -> bool:
        return self.package is None or _load(self.package) is not None


_loaded: dict[str, Any] = {}


def _load(package: str) -> Any:
    if package not in _loaded:
        try:
            _loaded[package] = importlib.import_module(package)
        except ImportError:
            _loaded[package] = None
    return _loaded[package]


def _finished(decompressor: Any, data: Buffer) -> bytes:
    """The output of one of the standard library's decompressors, if it took all of `data`."""
    output: bytes = decompressor.decompress(data, OUTPUT_MAX + 1)
    if len(output) <= OUTPUT_MAX and (not decompressor.eof or decompressor.unused_data):
        raise MalformedMessage("compressed data ends early or late")
    return output


def _compress_lzma(data: Buffer, level: int) -> bytes:
    return lzma.compress(bytes(data), lzma.FORMAT_XZ, lzma.CHECK_NONE, level)


def _decompress_lzma(data: Buffer) -> bytes:
    return _finished(lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY_MAX), data)


def _compress_lz4(data: Buffer, level: int) -> bytes:
    # LZ4_compress_fast takes the level for its acceleration, and 1 for anything below.
    result: bytes = _load("lz4.block").compress(
        data, mode="fast", acceleration=max(1, level), store_size=False
    )
    return result


def _compress_lz4hc(data: Buffer, level: int) -> bytes:
    result: bytes = _load("lz4.block").compress(
        data, mode="high_compression", compression=level, store_size=False
    )
    return result


def _decompress_lz4(data: Buffer) -> bytes:
    result: bytes = _load("lz4.block").decompress(data, uncompressed_size=OUTPUT_MAX)
    return result


def _compress_lzo2(data: Buffer, _level: int) -> bytes:
    result: bytes = _load("lzallright").LZOCompressor().compress(data)
    return result


def _decompress_lzo2(data: Buffer) -> bytes:
    # Its output has no bound of our choice; the format's own is 255 times the input, 16 MiB here.
    result: bytes = _load("lzallright").LZOCompressor.decompress(data, PAYLOAD_MAX)
    return result


def _compress_zstd(data: Buffer, level: int) -> bytes:
    result: bytes = _load("zstandard").ZstdCompressor(level=level).compress(data)
    return result


def _decompress_zstd(data: Buffer) -> bytes:
    zstandard = _load("zstandard")
    # A frame names its size, and as much is allocated. libknet's senders know it, so it is always there.
    size = zstandard.get_frame_parameters(data).content_size
    if not 0 < size <= OUTPUT_MAX:
        raise MalformedMessage(f"zstd frame of {size} bytes")
    result: bytes = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_MAX).decompress(
        data, allow_extra_data=False
    )
    return result


MODELS: Final = (
    Model(1, "zlib", -1, zlib.compress, lambda data: _finished(zlib.decompressobj(), data)),
    Model(2, "lz4", 1, _compress_lz4, _decompress_lz4, "lz4.block"),
    Model(3, "lz4hc", 9, _compress_lz4hc, _decompress_lz4, "lz4.block"),
    Model(4, "lzo2", 1, _compress_lzo2, _decompress_lzo2, "lzallright"),
    Model(5, "lzma", 6, _compress_lzma, _decompress_lzma),
    Model(6, "bzip2", 9, bz2.compress, lambda data: _finished(bz2.BZ2Decompressor(), data)),
    Model(7, "zstd", 3, _compress_zstd, _decompress_zstd, "zstandard"),
)
_BY_NUMBER: Final = {model.number: model for model in MODELS}
_BY_NAME: Final = {model.name: model for model in MODELS}


class Compressor:
    """What compresses the messages that we send."""

    def __init__(self, name: str, level: int, threshold: int) -> None:
        """Raises Unusable. Like libknet it tries out the level, and takes the default if it is useless."""
        model = _BY_NAME.get(name)
        if model is None:
            raise Unusable(f"compress model {name} not supported")
        if not model.available:
            raise Unusable(f"compress model {name} needs the Python package {model.package}")
        if threshold > PAYLOAD_MAX:
            raise Unusable(f"compress threshold cannot be higher than KNET_MAX_PACKET_SIZE ({PAYLOAD_MAX}).")
        self.model = model
        self.threshold = threshold or THRESHOLD_DEFAULT
        self.level = level
        sample = bytes(PAYLOAD_MAX)
        if len(self._try(sample)) >= PAYLOAD_MAX:
            self.level = model.default_level
        if decompress(model.number, self._try(sample)) != sample:
            raise Unusable("Decompressed buffer contains incorrect data")

    def _try(self, sample: bytes) -> bytes:
        try:
            return self.model.compress(sample, self.level)
        except Exception as fault:
            raise Unusable(
                f"Unable to compress test buffer. Please check your compression settings: {fault}"
            ) from fault

    def compress(self, message: Buffer) -> bytes:
        """May be longer than `message`, which is then better sent as it is."""
        return self.model.compress(message, self.level)


def decompress(number: int, data: Buffer) -> bytes:
    """The message that a data packet with this number holds.

    Raises Unsupported, and MalformedMessage for what does not decompress to at most OUTPUT_MAX bytes.
    """
    model = _BY_NUMBER.get(number)
    if model is None:
        raise Unsupported(f"Received packet with unknown compress model {number}")
    if not model.available:
        raise Unsupported(
            f"Received packet compressed with {model.name}, which needs the Python package {model.package}"
        )
    try:
        message = model.decompress(data)
    except MalformedMessage:
        raise
    except Exception as fault:  # each library has its own, and none may end the daemon
        raise MalformedMessage(f"Unable to decompress packet: {model.name}: {fault}") from fault
    if len(message) > OUTPUT_MAX:
        raise MalformedMessage(f"Unable to decompress packet: {model.name}: more than {OUTPUT_MAX} bytes")
    return message
