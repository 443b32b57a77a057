"""What the tools share (pycorosync/tools/common.py)."""

import signal
import sys

import pytest

from pycorosync.tools.common import UINT32_MAX, LongOption, LongOptions, complain, number, run_tool
from pycorosync.types import signed

NAMES = {
    "reload": LongOption("R"),
    "reopen": LongOption("L"),
    "kill": LongOption("k", takes_argument=True),
    "force": LongOption("force"),
}


def parsed(*arguments: str) -> tuple[list[tuple[str, str]], list[str]]:
    options = LongOptions(list(arguments), "Rk:", NAMES, program="tool")
    return [(letter, argument) for letter, argument in options], options.operands


def test_long_and_short_options_and_operands_mix() -> None:
    found, operands = parsed(
        "a", "--reload", "-k", "1", "--kill=2", "--kill", "3", "b", "--force", "--", "-R"
    )
    assert found == [("R", ""), ("k", "1"), ("k", "2"), ("k", "3"), ("force", "")]
    assert operands == ["a", "b", "-R"]


def test_the_beginning_of_a_name_will_do() -> None:
    assert parsed("--rel", "--k=5")[0] == [("R", ""), ("k", "5")]


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--bogus", "unrecognized option '--bogus'"),
        ("--bogus=1", "unrecognized option '--bogus=1'"),
        ("--re", "option '--re' is ambiguous; possibilities: '--reload' '--reopen'"),
        ("--rel=1", "option '--reload' doesn't allow an argument"),
        ("--kill", "option '--kill' requires an argument"),
        ("-k", "option requires an argument -- 'k'"),
        ("-z", "invalid option -- 'z'"),
    ],
)
def test_mistakes_in_the_words_of_getopt(
    argument: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parsed(argument)[0] == [("?", "")]
    assert capsys.readouterr().err == f"tool: {text}\n"


@pytest.mark.parametrize(("text", "value"), [("1", 1), (" \t+7", 7), ("4294967295", UINT32_MAX), ("007", 7)])
def test_numbers(text: str, value: int) -> None:
    assert number(text, 1, UINT32_MAX) == value


@pytest.mark.parametrize("text", ["", "0", "-1", "1 ", "1x", "0x1", "1_0", "٣", "4294967296", "9" * 100])
def test_what_is_no_number_in_the_range(text: str) -> None:
    assert number(text, 1, UINT32_MAX) is None


def test_large_ids_in_error_texts() -> None:
    assert (signed(UINT32_MAX), signed(2**31), signed(5)) == (-1, -(2**31), 5)


def test_complaints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    complain("no")
    assert capsys.readouterr() == ("", "no\n")


def test_the_frame_around_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    handlers = {number_: signal.getsignal(number_) for number_ in (signal.SIGPIPE, signal.SIGINT)}
    monkeypatch.setattr(sys, "argv", ["tool", "-x"])

    def main(arguments: list[str]) -> int:
        assert arguments == ["-x"]
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL
        return 7

    try:
        with pytest.raises(SystemExit) as caught:
            run_tool(main)
    finally:
        for number_, handler in handlers.items():
            signal.signal(number_, handler)
    assert caught.value.code == 7
