"""The target in a totem header, in both byte orders."""

import pytest

from pycorosync.errors import MalformedMessage
from pycorosync.knet.target import target_of, with_target
from tests.knet.network import frame

BIG = b"\xc0\x70\x03\x00\x00" + bytes(4) + b"\x00\x00\x00\x05" + b"token"


def test_reading() -> None:
    assert target_of(frame(b"x", target=258)) == 258
    assert target_of(memoryview(BIG)) == 5


def test_writing_copies_only_what_differs() -> None:
    right = frame(b"x", target=3)
    assert with_target(right, 3) is right
    changed = with_target(right, 4)
    assert bytes(changed) == frame(b"x", target=4)
    assert right == frame(b"x", target=3)
    assert target_of(with_target(BIG, 9)) == 9


@pytest.mark.parametrize("text", [b"", b"\x70", b"\x70\xc0", frame()[:12], b"\x00\x00" + frame()[2:]])
def test_what_is_no_frame(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        target_of(text)
    with pytest.raises(MalformedMessage):
        with_target(text, 1)
