"""Command lines as getopt(3) reads them."""

import pytest

from pycorosync.tools.options import Options


@pytest.mark.parametrize(
    ("line", "options", "operands"),
    [
        ("", [], []),
        ("-a -b", ["a", "b"], []),
        ("-ab", ["a", "b"], []),
        ("-m x -a", ["m=x", "a"], []),
        ("-mx", ["m=x"], []),
        ("-am x", ["a", "m=x"], []),
        ("-ma", ["m=a"], []),
        ("-m -a", ["m=-a"], []),
        ("-m --", ["m=--"], []),
        ("one -a two -b", ["a", "b"], ["one", "two"]),
        ("one -- -a -- two", [], ["one", "-a", "--", "two"]),
        ("- -a", ["a"], ["-"]),
    ],
)
def test_lines_without_mistakes(line: str, options: list[str], operands: list[str]) -> None:
    given = Options(line.split(), "abm:", program="tool")
    found = [letter + (f"={argument}" if argument else "") for letter, argument in given]
    assert found == options
    assert given.operands == operands


@pytest.mark.parametrize(
    ("line", "letters", "complaint"),
    [
        ("-z", "?", "tool: invalid option -- 'z'\n"),
        ("-az", "a?", "tool: invalid option -- 'z'\n"),
        ("-za", "?a", "tool: invalid option -- 'z'\n"),
        ("-m", "?", "tool: option requires an argument -- 'm'\n"),
        ("--x", "??", "tool: invalid option -- '-'\ntool: invalid option -- 'x'\n"),
        ("-:", "?", "tool: invalid option -- ':'\n"),
    ],
)
def test_mistakes(line: str, letters: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = Options(line.split(), "abm:", program="tool")
    assert "".join(letter for letter, _ in given) == letters
    assert capsys.readouterr().err == complaint


def test_options_are_given_out_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    given = iter(Options(["-a", "-z"], "a", program="tool"))
    assert next(given).letter == "a"
    assert capsys.readouterr().err == ""


def test_the_program_is_called_what_it_was_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/sbin/some-tool", "-z"])
    list(Options(["-z"], "a"))
    assert capsys.readouterr().err == "some-tool: invalid option -- 'z'\n"
