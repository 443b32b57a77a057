"""Each model, its bound, and what happens without its package."""

import bz2
import lzma
import random
import zlib

import pytest
import zstandard

from pycorosync.errors import MalformedMessage
from pycorosync.knet import compress
from pycorosync.knet.compress import MODELS, OUTPUT_MAX, Compressor, Model, Unsupported, Unusable, decompress

LEVELS = {"bzip2": 9}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("size", [1, 101, 5000, 65536])
def test_what_is_compressed_comes_back(model: Model, size: int) -> None:
    rng = random.Random(size)
    for message in (bytes(size), rng.randbytes(size), b"abc" * (size // 3 + 1)):
        packed = model.compress(message[:size], model.default_level)
        assert decompress(model.number, memoryview(packed)) == message[:size]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_bombs_are_refused(model: Model) -> None:
    with pytest.raises(MalformedMessage):
        decompress(model.number, model.compress(bytes(OUTPUT_MAX + 1), model.default_level))
    assert len(decompress(model.number, model.compress(bytes(OUTPUT_MAX), model.default_level))) == OUTPUT_MAX


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_truncated_and_broken_data_is_refused_or_harmless(model: Model) -> None:
    message = random.Random(1).randbytes(300) * 3
    packed = model.compress(message, model.default_level)
    for length in range(len(packed)):
        try:
            assert len(decompress(model.number, packed[:length])) <= OUTPUT_MAX
        except MalformedMessage:
            continue
        assert model.name in ("lz4", "lz4hc"), "their blocks do not say where they end"
    rng = random.Random(2)
    for _ in range(300):
        broken = bytearray(packed)
        broken[rng.randrange(len(packed))] ^= 1 << rng.randrange(8)
        try:
            assert len(decompress(model.number, broken)) <= OUTPUT_MAX
        except MalformedMessage:
            continue


def test_a_large_dictionary_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    packed = bytearray(lzma.compress(b"x", lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=filters))
    with pytest.raises(MalformedMessage):
        decompress(5, packed)


def test_a_zstd_frame_that_promises_much_is_refused() -> None:
    packed = zstandard.ZstdCompressor().compress(bytes(100 << 20))
    assert len(packed) < 20_000
    with pytest.raises(MalformedMessage):
        decompress(7, packed)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100)
    with pytest.raises(MalformedMessage):
        decompress(7, unsized)


@pytest.mark.parametrize(("number", "packed"), [(1, zlib.compress(b"x")), (6, bz2.compress(b"x"))])
def test_anything_behind_the_end_is_refused(number: int, packed: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decompress(number, packed + b"tail")


@pytest.mark.parametrize("number", [0, 8, 255])
def test_unknown_models_are_refused(number: int) -> None:
    with pytest.raises(Unsupported, match="unknown compress model"):
        decompress(number, b"data")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(compress._loaded, "zstandard", None)
    with pytest.raises(Unusable, match="needs the Python package zstandard"):
        Compressor("zstd", 3, 0)
    with pytest.raises(Unsupported, match="needs the Python package zstandard"):
        decompress(7, b"data")


def test_packages_are_found_by_importing_them() -> None:
    compress._loaded.pop("no_such_package", None)
    assert compress._load("no_such_package") is None
    assert not Model(9, "x", 0, lambda data, level: b"", bytes, "no_such_package").available


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_compressor(model: Model) -> None:
    compressor = Compressor(model.name, LEVELS.get(model.name, 0), 0)
    assert compressor.threshold == 100
    packed = compressor.compress(memoryview(b"totem" * 1000))
    assert len(packed) < 1000
    assert decompress(model.number, packed) == b"totem" * 1000


def test_a_level_that_does_not_compress_gives_way_to_the_default() -> None:
    assert Compressor("zlib", 0, 0).level == -1
    assert Compressor("zlib", 5, 0).level == 5


@pytest.mark.parametrize(("name", "level"), [("zlib", 10), ("bzip2", 0), ("bzip2", 10), ("lzma", 10)])
def test_a_level_that_does_not_exist_is_refused(name: str, level: int) -> None:
    with pytest.raises(Unusable, match="Unable to compress test buffer"):
        Compressor(name, level, 0)


def test_unknown_names_and_thresholds_are_refused() -> None:
    with pytest.raises(Unusable, match="compress model zip not supported"):
        Compressor("zip", 1, 0)
    with pytest.raises(Unusable, match="threshold cannot be higher"):
        Compressor("zlib", 1, 65537)
