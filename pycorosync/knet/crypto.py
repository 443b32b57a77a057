"""The envelope around every packet, and the change to another key (libknet: crypto.c; protocol/knet.md).

With a cipher, a datagram is salt (16 bytes), AES-CBC of the packet with PKCS#7 padding and the salt as IV,
and the HMAC of both; without a cipher, the packet and its HMAC. knet's models openssl and nss make the same
bytes.

Setting up a cipher costs several times what a packet costs. So each key has one CBC stream in each
direction that never ends. CBC chains: what 16 fresh random bytes encrypt to, behind whatever came before,
is as random, and serves as the salt of what follows. On receipt the salt goes through the stream first, and
what comes out for it is dropped.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from pycorosync.types import Buffer

BLOCK_SIZE: Final = 16
SALT_SIZE: Final = 16
KEY_SIZE_MIN, KEY_SIZE_MAX = 128, 4096
NONE: Final = "none"

CIPHER_KEY_SIZES: Final = {"aes128": 16, "aes192": 24, "aes256": 32}
HASHES: Final = ("md5", "sha1", "sha256", "sha384", "sha512")

_PADDINGS: Final = [bytes([size]) * size for size in range(BLOCK_SIZE + 1)]

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class CryptoSettings:
    """As configured. The model names a library of knet's and matters for log lines only."""

    model: str = "nss"
    cipher: str = NONE
    hash: str = NONE
    key: bytes = field(default=b"", repr=False)

    @property
    def enabled(self) -> bool:
        return self.model != NONE and (self.cipher, self.hash) != (NONE, NONE)


@dataclass(frozen=True, slots=True)
class Overhead:
    """What sealing adds to a packet, in bytes; zeros for clear packets."""

    salt: int = 0
    block: int = 0
    hash: int = 0

    def sealed_size(self, size: int) -> int:
        """Of a packet of `size` bytes."""
        padding = self.block - size % self.block if self.block else 0
        return size + padding + self.salt + self.hash

    def largest_packet(self, room: int) -> int:
        """The longest packet that fits into `room` bytes when it is sealed; negative if none does."""
        size = room - self.salt - self.hash
        return size - size % self.block - 1 if self.block else size


class Crypto:
    """One configuration: seals what we send, opens what we receive."""

    def __init__(self, settings: CryptoSettings, entropy: Entropy) -> None:
        """Raises ValueError for what knet does not know, which the configuration's checks have refused."""
        if settings.hash not in HASHES:
            raise ValueError(
                f"hash {settings.hash}: a cipher needs one, and it is one of {', '.join(HASHES)}"
            )
        if not KEY_SIZE_MIN <= len(settings.key) <= KEY_SIZE_MAX:
            raise ValueError(f"the key has {len(settings.key)} bytes, not {KEY_SIZE_MIN} to {KEY_SIZE_MAX}")
        self.model = settings.model
        self._entropy = entropy
        self._inner, self._outer = _hmac_states(settings.hash, settings.key)
        self._hash_size = self._inner.digest_size
        self._encryptor: CipherContext | None = None
        self._decryptor: CipherContext | None = None
        self.overhead = Overhead(hash=self._hash_size)
        if settings.cipher != NONE:
            if settings.cipher not in CIPHER_KEY_SIZES:
                raise ValueError(f"cipher {settings.cipher} is none of {', '.join(CIPHER_KEY_SIZES)}")
            key = settings.key[: CIPHER_KEY_SIZES[settings.cipher]]
            # The IV of the stream's beginning hides nothing: it only precedes the first salt.
            cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK_SIZE)))
            self._encryptor, self._decryptor = cipher.encryptor(), cipher.decryptor()
            self.overhead = Overhead(SALT_SIZE, BLOCK_SIZE, self._hash_size)

    def seal(self, *parts: Buffer) -> bytes:
        """The datagram of the packet that `parts` are together."""
        if self._encryptor is None:
            body = b"".join(parts)
        else:
            padding = _PADDINGS[BLOCK_SIZE - sum(map(len, parts)) % BLOCK_SIZE]
            body = self._encryptor.update(b"".join((self._entropy(SALT_SIZE), *parts, padding)))
        return body + self._digest(body)

    def open(self, datagram: Buffer) -> memoryview | None:
        """The packet, or None if it was not sealed with this key. Nothing is looked at before the HMAC."""
        view = memoryview(datagram)
        end = len(view) - self._hash_size
        if end <= 0:
            return None
        body = view[:end]
        if not hmac.compare_digest(self._digest(body), view[end:]):
            return None
        if self._decryptor is None:
            return body
        if end < SALT_SIZE + BLOCK_SIZE or end % BLOCK_SIZE:
            return None
        packet = self._decryptor.update(body)
        padding = packet[-1]
        if not 1 <= padding <= BLOCK_SIZE or not packet.endswith(_PADDINGS[padding]):
            return None
        return memoryview(packet)[SALT_SIZE : end - padding]

    def _digest(self, body: Buffer) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(body)
        outer.update(inner.digest())
        return outer.digest()


def _hmac_states(name: str, key: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """The two halves of HMAC (RFC 2104) with the key already in them, to be copied for each packet."""
    block_size = hashlib.new(name).block_size
    if len(key) > block_size:
        key = hashlib.new(name, key).digest()
    key = key.ljust(block_size, b"\0")
    inner = hashlib.new(name, bytes(byte ^ 0x36 for byte in key))
    outer = hashlib.new(name, bytes(byte ^ 0x5C for byte in key))
    return inner, outer


class Keyring:
    """The configuration in use and, while the cluster changes from one to another, a second one.

    A node loads the new configuration when it reloads its file, uses it when it knows that all others have
    loaded it (phase 1), and drops the old one when it knows that all others use the new one (phase 2).
    Whatever is loaded opens packets. Clear packets are accepted as long as clear is the old or the new
    configuration.
    """

    def __init__(self, settings: CryptoSettings, entropy: Entropy) -> None:
        self._entropy = entropy
        self._loaded: dict[int, Crypto] = {}
        self.index = 1  # of the latest configuration, as corosync's log lines count them
        self.active: Crypto | None = None  # seals; None: we send clear packets
        self.accepts_clear = not settings.enabled
        if settings.enabled:
            self.active = self._loaded[self.index] = Crypto(settings, entropy)

    def load(self, settings: CryptoSettings) -> None:
        """The next configuration, beside the one in use. Raises ValueError, and changes nothing."""
        crypto = Crypto(settings, self._entropy) if settings.enabled else None
        self.index = 3 - self.index
        if crypto is None:
            self._loaded.pop(self.index, None)
            self.accepts_clear = True
        else:
            self._loaded[self.index] = crypto

    def use(self) -> None:
        """Seal with the latest configuration from now on."""
        self.active = self._loaded.get(self.index)

    def forget(self) -> None:
        """Drop the configuration before the latest."""
        self._loaded.pop(3 - self.index, None)
        self.active = self._loaded.get(self.index)
        self.accepts_clear = self.active is None

    @property
    def overhead(self) -> Overhead:
        return self.active.overhead if self.active else Overhead()

    @property
    def has_keys(self) -> bool:
        """Whether a datagram may be sealed at all."""
        return bool(self._loaded) or self.active is not None

    def candidates(self) -> Iterator[Crypto]:
        """What may open a datagram; the one in use comes first."""
        if self.active is not None:
            yield self.active
        for crypto in self._loaded.values():
            if crypto is not self.active:
                yield crypto

    def open(self, datagram: Buffer) -> Buffer | None:
        """The packet, or None if no configuration accepts the datagram."""
        if self.active is not None and (packet := self.active.open(datagram)) is not None:
            return packet
        for crypto in self._loaded.values():
            if crypto is not self.active and (packet := crypto.open(datagram)) is not None:
                return packet
        return datagram if self.accepts_clear else None
