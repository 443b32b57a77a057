"""Cipher, hash and key."""

import pytest

from pycorosync.cmap.store import ValueType
from pycorosync.config.crypto import CryptoFault, read_crypto
from pycorosync.config.host import FileFault, HostFacts
from pycorosync.config.model import CryptoConfig
from tests.config.sample import FakeMap

STRING, BINARY = ValueType.STRING, ValueType.BINARY
USUAL = "/etc/corosync/authkey"
KEY = bytes(200)


def read(host: HostFacts | None = None, **options: str) -> CryptoConfig:
    entries = FakeMap([(f"totem.{name}", STRING, value) for name, value in options.items()])
    return read_crypto(entries, host or HostFacts(key_files={USUAL: KEY, "/other": KEY[:150]}))


def complaint(host: HostFacts | None = None, **options: str) -> str:
    with pytest.raises(CryptoFault) as caught:
        read(host, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "cipher", "hashing"),
    [
        ({}, "none", "none"),
        ({"secauth": "on"}, "aes256", "sha256"),
        ({"secauth": "yes"}, "none", "none"),
        ({"secauth": "on", "crypto_cipher": "none"}, "none", "sha256"),
        ({"secauth": "on", "crypto_cipher": "aes128"}, "aes128", "sha256"),
        ({"secauth": "off", "crypto_hash": "sha1"}, "none", "sha1"),
        ({"crypto_cipher": "aes192", "crypto_hash": "md5"}, "aes192", "md5"),
        ({"secauth": "on", "crypto_cipher": "none", "crypto_hash": "none"}, "none", "none"),
    ],
)
def test_cipher_and_hash(options: dict[str, str], cipher: str, hashing: str) -> None:
    found = read(None, **options)
    assert (found.model, found.cipher, found.hash) == ("nss", cipher, hashing)
    assert found.enabled is (hashing != "none")
    assert found.key == (KEY if found.enabled else b"")


def test_the_library() -> None:
    assert read(crypto_model="openssl").model == "openssl"
    assert complaint(crypto_model="none") == "invalid crypto_model"


def test_a_cipher_needs_a_hash() -> None:
    expected = "crypto_cipher requires crypto_hash with value other than none"
    assert complaint(crypto_cipher="aes256") == expected
    assert complaint(secauth="on", crypto_hash="none") == expected


def test_where_the_key_is() -> None:
    assert read(secauth="on", keyfile="/other").key == KEY[:150]
    inline = "k" * 127
    assert read(secauth="on", key=inline).key == inline.encode() + b"\0"
    assert read(secauth="on", key=inline, keyfile="/other").key == KEY[:150]
    entries = FakeMap([("totem.secauth", STRING, "on"), ("totem.key", BINARY, KEY)])
    assert read_crypto(entries, HostFacts()).key == KEY


def test_a_long_key_file_is_cut() -> None:
    assert len(read(HostFacts(key_files={USUAL: bytes(5000)}), secauth="on").key) == 4096


def test_keys_that_cannot_be_used() -> None:
    assert complaint(secauth="on", keyfile="/none") == "Could not open /none: No such file or directory"
    unreadable = HostFacts(key_files={USUAL: FileFault("open", "Permission denied")})
    assert complaint(unreadable, secauth="on") == f"Could not open {USUAL}: Permission denied"
    short = HostFacts(key_files={USUAL: bytes(127)})
    expected = f"Could only read 1016 bits of minimum 1024 bits from {USUAL}."
    assert complaint(short, secauth="on") == expected
    assert complaint(secauth="on", key="k" * 126) == "key is too short"
    assert complaint(secauth="on", key="k" * 4096) == "key is too long"


def test_without_protection_no_key_is_read() -> None:
    assert read(HostFacts(), keyfile="/none").key == b""
