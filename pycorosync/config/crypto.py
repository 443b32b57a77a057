"""How packets are to be protected, and the key (corosync: totem_get_crypto, totem_config_keyread).

totem.secauth sets cipher and hash together; crypto_cipher and crypto_hash override it one by one. The key is
the file that totem.keyfile names, else the text of totem.key, else the usual file.
"""

from typing import Final

from pycorosync.config.host import FileFault, HostFacts, Lookup, get_string
from pycorosync.config.model import CryptoConfig
from pycorosync.config.options import CIPHERS, HASHES, default_of

KEY_MIN: Final = 128  # bytes of a key
KEY_MAX: Final = 4096


class CryptoFault(Exception):
    """The options or the key cannot be used. `option` is the one to look at."""

    def __init__(self, option: str, text: str) -> None:
        super().__init__(text)
        self.option = option


def read_crypto(entries: Lookup, host: HostFacts) -> CryptoConfig:
    """The options with the key, which is empty when nothing is protected. Raises CryptoFault."""
    model = get_string(entries, "totem.crypto_model") or str(default_of("totem.crypto_model"))
    secure = get_string(entries, "totem.secauth") == "on"
    cipher = get_string(entries, "totem.crypto_cipher")
    hashing = get_string(entries, "totem.crypto_hash")
    if cipher not in CIPHERS:
        cipher = "aes256" if secure else "none"
    if hashing not in HASHES:
        hashing = "sha256" if secure else "none"
    if cipher != "none" and hashing == "none":
        reason = "crypto_cipher requires crypto_hash with value other than none"
        raise CryptoFault("totem.crypto_cipher", reason)
    if model == "none":
        raise CryptoFault("totem.crypto_model", "invalid crypto_model")
    unprotected = cipher == hashing == "none"
    return CryptoConfig(model, cipher, hashing, b"" if unprotected else _read_key(entries, host))


def _read_key(entries: Lookup, host: HostFacts) -> bytes:
    path = get_string(entries, "totem.keyfile")
    inline = entries.get("totem.key")
    if path is None and inline is not None:
        return _inline_key(inline.value)
    if path is None:
        path = str(default_of("totem.keyfile"))
    content = host.key_files.get(path, FileFault("open", "No such file or directory"))
    if isinstance(content, FileFault):
        raise CryptoFault("totem.keyfile", f"Could not {content.action} {path}: {content.reason}")
    if len(content) < KEY_MIN:
        reason = f"Could only read {len(content) * 8} bits of minimum {KEY_MIN * 8} bits from {path}."
        raise CryptoFault("totem.keyfile", reason)
    return content[:KEY_MAX]


def _inline_key(value: object) -> bytes:
    # C counts the zero that ends a string.
    key = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape") + b"\0"
    if len(key) > KEY_MAX:
        raise CryptoFault("totem.key", "key is too long")
    if len(key) < KEY_MIN:
        raise CryptoFault("totem.key", "key is too short")
    return key
