"""The envelope against an independent implementation of it, and what must not open."""

import hmac
import itertools
import os
import random

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pycorosync.knet.crypto import CIPHER_KEY_SIZES, HASHES, Crypto, CryptoSettings, Keyring, Overhead
from tests.knet.network import crypto, key

COMBINATIONS = list(itertools.product(("none", *CIPHER_KEY_SIZES), HASHES))


def reference_open(settings: CryptoSettings, datagram: bytes) -> bytes:
    """As libknet does it: a new context for each packet."""
    size = hmac.new(settings.key, digestmod=settings.hash).digest_size
    body, digest = datagram[:-size], datagram[-size:]
    assert hmac.digest(settings.key, body, settings.hash) == digest
    if settings.cipher == "none":
        return body
    cipher = Cipher(
        algorithms.AES(settings.key[: CIPHER_KEY_SIZES[settings.cipher]]), modes.CBC(body[:16])
    ).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(cipher.update(body[16:]) + cipher.finalize()) + unpadder.finalize()


def reference_seal(settings: CryptoSettings, packet: bytes) -> bytes:
    if settings.cipher == "none":
        return packet + hmac.digest(settings.key, packet, settings.hash)
    salt = os.urandom(16)
    padder = padding.PKCS7(128).padder()
    cipher = Cipher(
        algorithms.AES(settings.key[: CIPHER_KEY_SIZES[settings.cipher]]), modes.CBC(salt)
    ).encryptor()
    body = salt + cipher.update(padder.update(packet) + padder.finalize()) + cipher.finalize()
    return body + hmac.digest(settings.key, body, settings.hash)


@pytest.mark.parametrize(("cipher", "name"), COMBINATIONS)
@pytest.mark.parametrize("size", [128, 256, 4096])
def test_all_algorithms_agree_with_the_reference(cipher: str, name: str, size: int) -> None:
    settings = CryptoSettings("openssl", cipher, name, key(5, size))
    ours = Crypto(settings, os.urandom)
    for length in (1, 15, 16, 17, 26, 31, 32, 1423, 1424, 9000):
        packet = os.urandom(length)
        sealed = ours.seal(packet[: length // 2], memoryview(packet)[length // 2 :])
        assert len(sealed) == ours.overhead.sealed_size(length)
        assert reference_open(settings, sealed) == packet
        opened = ours.open(reference_seal(settings, packet))
        assert opened is not None
        assert bytes(opened) == packet


def test_the_salt_differs_each_time() -> None:
    ours = Crypto(crypto(), os.urandom)
    salts = {ours.seal(bytes(100))[:16] for _ in range(1000)}
    assert len(salts) == 1000


@pytest.mark.parametrize(("cipher", "name"), COMBINATIONS)
def test_nothing_else_opens(cipher: str, name: str) -> None:
    ours = Crypto(crypto(cipher, name, seed=1), os.urandom)
    sealed = ours.seal(os.urandom(100))
    others = [Crypto(crypto(cipher, name, seed=2), os.urandom)]
    others += [Crypto(crypto(cipher, other, seed=1), os.urandom) for other in HASHES if other != name]
    assert [other.open(sealed) for other in others] == [None] * 5
    for length in range(201):
        assert length >= len(sealed) or ours.open(sealed[:length]) is None
        assert ours.open(bytes(length)) is None
    rng = random.Random(1)
    for _ in range(100):
        flipped = bytearray(sealed)
        flipped[rng.randrange(len(sealed))] ^= 1 << rng.randrange(8)
        assert ours.open(flipped) is None
    assert ours.open(sealed) is not None, "what did not open has not disturbed the stream"


@pytest.mark.parametrize("body", [b"", bytes(16), bytes(31), bytes(32), bytes(33), b"\x07" * 48])
def test_what_is_signed_but_is_no_ciphertext_does_not_open(body: bytes) -> None:
    """Only somebody with the key can make it; still it must do no harm."""
    settings = crypto()
    ours = Crypto(settings, os.urandom)
    signed = body + hmac.digest(settings.key, body, "sha256")
    assert ours.open(signed) is None
    for _ in range(1500):  # of a salt alone, what comes out may look like padding
        salt = os.urandom(16)
        assert ours.open(salt + hmac.digest(settings.key, salt, "sha256")) is None
    sealed = ours.seal(b"next")
    assert bytes(ours.open(sealed) or b"") == b"next"


def test_padding_is_checked() -> None:
    settings = crypto()
    ours = Crypto(settings, os.urandom)
    for block in (bytes(16), b"x" * 15 + b"\x11", b"x" * 14 + b"\x01\x02", b"x" * 15 + b"\xff"):
        salt = os.urandom(16)
        cipher = Cipher(algorithms.AES(settings.key[:32]), modes.CBC(salt)).encryptor()
        body = salt + cipher.update(block)
        assert ours.open(body + hmac.digest(settings.key, body, "sha256")) is None


@pytest.mark.parametrize(
    "settings",
    [
        crypto("aes256", "none"),
        crypto("aes512", "sha256"),
        crypto("aes256", "sha3"),
        CryptoSettings("nss", "aes256", "sha256", bytes(127)),
        CryptoSettings("nss", "aes256", "sha256", bytes(4097)),
        CryptoSettings("nss", "aes256", "sha256"),
    ],
)
def test_what_knet_does_not_know_is_refused(settings: CryptoSettings) -> None:
    with pytest.raises(ValueError, match=r"hash|cipher|key"):
        Crypto(settings, os.urandom)


def test_a_key_is_not_printed() -> None:
    assert "key" not in repr(crypto())


@pytest.mark.parametrize(
    "overhead", [Overhead(), Overhead(16, 16, 32), Overhead(16, 16, 16), Overhead(0, 0, 64)]
)
def test_the_largest_packet_fits_and_one_more_byte_does_not(overhead: Overhead) -> None:
    for room in range(120, 2000):
        size = overhead.largest_packet(room)
        assert overhead.sealed_size(size) <= room < overhead.sealed_size(size + 1)


# --- two keys at once


def test_a_change_of_keys_in_two_phases() -> None:
    old, new = crypto(seed=1), crypto("aes128", "sha1", seed=2)
    ring, others_old, others_new = (Keyring(one, os.urandom) for one in (old, old, new))

    def opens(other: Keyring) -> bool:
        assert other.active is not None
        return ring.open(other.active.seal(b"packet")) is not None

    def seals_for(other: Keyring) -> bool:
        assert ring.active is not None
        return other.open(ring.active.seal(b"packet")) is not None

    assert (opens(others_old), opens(others_new), seals_for(others_old)) == (True, False, True)
    ring.load(new)
    assert (opens(others_old), opens(others_new), seals_for(others_old)) == (True, True, True)
    ring.use()
    assert (opens(others_old), opens(others_new), seals_for(others_new)) == (True, True, True)
    ring.forget()
    assert (opens(others_old), opens(others_new), seals_for(others_new)) == (False, True, True)
    assert ring.index == 2
    assert not ring.accepts_clear


def test_clear_packets_are_accepted_only_while_clear_is_configured() -> None:
    ring = Keyring(CryptoSettings(), os.urandom)
    assert (ring.open(b"clear"), ring.has_keys, ring.overhead) == (b"clear", False, Overhead())
    ring.load(crypto())
    assert ring.open(b"clear") == b"clear"
    assert ring.active is None
    ring.use()
    assert ring.open(b"clear") == b"clear"
    ring.forget()
    assert ring.open(b"clear") is None
    ring.load(CryptoSettings())
    assert ring.open(b"clear") == b"clear"
    assert ring.active is not None
    ring.use()
    assert (ring.active, ring.has_keys) == (None, True)
    ring.forget()
    assert (ring.open(b"clear"), ring.has_keys) == (b"clear", False)


def test_the_key_in_use_is_kept_through_changes_that_are_not_carried_out() -> None:
    for second in (CryptoSettings(), crypto(seed=3)):
        for third in (CryptoSettings(), crypto(seed=4)):
            ring = Keyring(crypto(seed=1), os.urandom)
            in_use = ring.active
            ring.load(second)
            ring.load(third)
            assert in_use is not None
            assert ring.active is in_use
            sealed = in_use.seal(b"packet")
            assert bytes(ring.open(sealed) or b"") == b"packet"
            ring.use()
            ring.forget()
            assert ring.has_keys is third.enabled
            assert (ring.open(sealed) == sealed) is not third.enabled


def test_a_configuration_that_cannot_be_used_changes_nothing() -> None:
    ring = Keyring(crypto(), os.urandom)
    with pytest.raises(ValueError, match="cipher"):
        ring.load(crypto("rot13"))
    assert ring.index == 1
    assert ring.active is not None
    assert ring.open(ring.active.seal(b"packet")) is not None


@pytest.mark.parametrize("model", ["nss", "openssl"])
def test_models_make_the_same_bytes(model: str) -> None:
    settings = CryptoSettings(model, "aes256", "sha256", key(1))
    assert Crypto(settings, bytes).seal(b"packet") == Crypto(crypto(), bytes).seal(b"packet")


def test_no_model_is_no_crypto() -> None:
    assert not CryptoSettings("none", "aes256", "sha256", key(1)).enabled
    assert CryptoSettings("nss", "none", "sha256", key(1)).enabled
