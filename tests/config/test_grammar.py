"""The text of a configuration: what a line means, where it is wrong, and what hostile files can do."""

from random import Random

import pytest

from pycorosync.config.grammar import (
    READ_BYTES,
    Kind,
    Problem,
    Statement,
    as_bytes_text,
    as_text,
    byte_length,
    statements,
)


def read(text: str) -> list[Statement | Problem]:
    return list(statements(text))


def problem_of(text: str) -> tuple[int, str]:
    last = read(text)[-1]
    assert isinstance(last, Problem)
    return last.line, last.text


def option_of(line: str) -> tuple[str, str, str]:
    (found,) = read(line)
    assert isinstance(found, Statement)
    assert found.kind is Kind.OPTION
    return found.path, found.key, found.value


def test_sections_nest_and_options_know_their_path_and_line() -> None:
    text = "# comment\ntotem {\n\n  version: 2\n  interface {\n\tttl:\t1\n  }\n}\ntop: x\n"
    assert read(text) == [
        Statement(Kind.OPEN, 2, "totem"),
        Statement(Kind.OPTION, 4, "totem.version", "version", "2"),
        Statement(Kind.OPEN, 5, "totem.interface"),
        Statement(Kind.OPTION, 6, "totem.interface.ttl", "ttl", "1"),
        Statement(Kind.CLOSE, 7, "totem.interface"),
        Statement(Kind.CLOSE, 8, "totem"),
        Statement(Kind.OPTION, 9, "top", "top", "x"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("key: value", ("key", "key", "value")),
        (" key \t: value  ", ("key", "key", "value")),
        ("key:value # no comment", ("key", "key", "value # no comment")),
        ("key: a:b: c", ("key", "key", "a:b: c")),
        ("key:", ("key", "key", "")),
        ("key: a}", ("key", "key", "a}")),
        ("a b: c", ("a b", "a b", "c")),
        (":", ("", "", "")),
        (":value", ("", "", "value")),
        (": value", (":", ":", "value")),
        ("key:value\r\n", ("key", "key", "value")),
        ("key:value\r\r\n", ("key", "key", "value\r")),
        ("key:\xa0value\xa0\n", ("key", "key", "value")),
        ("}: x", ("}", "}", "x")),
    ],
)
def test_an_option(line: str, expected: tuple[str, str, str]) -> None:
    assert option_of(line) == expected


@pytest.mark.parametrize(
    ("line", "path"),
    [("totem {", "totem"), ("totem{", "totem"), ("\ttotem: {\r\n", "totem"), ("a b {  ", "a b"), (":{", ":")],
)
def test_a_section(line: str, path: str) -> None:
    assert read(line)[0] == Statement(Kind.OPEN, 1, path)


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("totem {\n  version: 2\n", 2, "Missing closing brace"),
        ("totem {\n  version: 2", 2, "Missing closing brace"),
        ("a {\n}\n}\n", 3, "Unexpected closing brace"),
        ("word\n", 1, "Line is not opening or closing section or key value"),
        ("{\n", 1, "Missing section name before opening bracket '{'"),
        ("  {\n", 1, "Missing section name before opening bracket '{'"),
        ("{ x\n", 1, "Extra characters after opening bracket '{'"),
        ("a { # x\n", 1, "Extra characters after opening bracket '{'"),
        ("a: { x\n", 1, "Extra characters after opening bracket '{'"),
        ("a {{\n", 1, "Extra characters after opening bracket '{'"),
        ("a {\n} x\n", 2, "Extra characters before or after closing bracket '}'"),
        ("a {\nx }\n", 2, "Extra characters before or after closing bracket '}'"),
        ("x }\n", 1, "Extra characters before or after closing bracket '}'"),
        ("a {\n}}\n", 2, "Extra characters before or after closing bracket '}'"),
        (f"{'s' * 254} {{\n", 1, "Start of section makes total cmap path too long"),
        (f"{'k' * 254}: 1\n", 1, "New key makes total cmap path too long"),
        ("a\x00b: 1\nc: 2\n", 1, "Line too long"),
    ],
)
def test_a_mistake(text: str, line: int, complaint: str) -> None:
    assert problem_of(text) == (line, complaint)


def test_a_name_may_use_the_whole_path() -> None:
    assert isinstance(read("s" * 253 + " {\n}")[0], Statement)
    assert isinstance(read("k" * 253 + ": 1\n")[0], Statement)
    assert isinstance(read("ab {\n" + "k" * 251 + ": 1\n}")[1], Statement)
    assert isinstance(read("ab {\n" + "k" * 252 + ": 1\n}")[1], Problem)


def test_a_line_ends_where_one_read_ends() -> None:
    fits = "k: " + "v" * (READ_BYTES - 4)
    assert isinstance(read(fits + "\n")[0], Statement)
    assert problem_of(fits + "v\n") == (1, "Line too long")
    assert isinstance(read(fits)[0], Statement)
    # Without a line end the reader learns of the end of the file only from a short read.
    assert problem_of(fits + "v") == (1, "Line too long")
    assert problem_of("# " + "c" * READ_BYTES + "\n") == (1, "Line too long")


def test_a_zero_byte_hides_the_rest_of_what_was_read() -> None:
    assert read("\x00 {{{\nk: v\n") == [Statement(Kind.OPTION, 2, "k", "k", "v")]
    assert option_of("k: v\x00 hidden") == ("k", "k", "v")
    # A long line is read in pieces, and each counts as a line.
    assert read("\x00" * READ_BYTES + "k: v\n") == [Statement(Kind.OPTION, 2, "k", "k", "v")]


def test_reading_goes_on_after_a_mistake_that_leaves_the_sections_clear() -> None:
    found = read("word\nk: v\n" + "x" * 300 + ": 1\nk: w\n")
    assert [type(one) for one in found] == [Problem, Statement, Problem, Statement]


def test_odd_bytes_come_out_as_they_went_in() -> None:
    raw = as_bytes_text(b"k: \xff\xc3\xbc\n")
    assert raw == as_bytes_text("k: \udcff\u00fc\n")
    (found,) = read(raw)
    assert isinstance(found, Statement)
    assert as_text(found.value) == "\udcff\u00fc"
    assert byte_length("\udcff\u00fc") == 3
    assert as_bytes_text("\ud800") == "?"  # no decoder makes this; it must not end the reader


@pytest.mark.parametrize(
    "hostile",
    [
        "a {\n" * 100_000,
        "{" * 1_000_000,
        "}" * 1_000_000,
        ":" * 1_000_000,
        "\x00" * 1_000_000,
        "\n" * 200_000,
        "# c\n" * 100_000,
        "x" * 1_000_000,
        "a {\n}\n" * 5_000,
    ],
)
def test_junk_without_end_is_read_or_refused(hostile: str) -> None:
    assert len(read(hostile)) <= 10_000


def test_depth_is_bounded_by_the_length_of_a_path() -> None:
    found = read("a {\n" * 1000)
    assert isinstance(found[-1], Problem)
    assert found[-1].text == "Start of section makes total cmap path too long"
    assert len(found) == 128


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_never_raise_and_sections_stay_balanced(seed: int) -> None:
    rng = Random(seed)
    text = "".join(rng.choices("ab{}:# \t\r\n\x00\xff", k=3000))
    open_paths = []
    for one in read(text):
        if isinstance(one, Statement) and one.kind is Kind.OPEN:
            open_paths.append(one.path)
        elif isinstance(one, Statement) and one.kind is Kind.CLOSE:
            assert open_paths.pop() == one.path, f"seed {seed}"
