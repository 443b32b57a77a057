"""Every example of docs/client.md runs, and prints what stands below it."""

import re
import threading
from pathlib import Path

import pytest

from pycorosync.client import session
from pycorosync.client.cfg import Cfg
from pycorosync.client.connection import Connection, LibraryError
from pycorosync.cs_error import CsError
from tests.daemon.served import PATIENCE_S, served

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```\n^```text\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
NAMES = [str(number) for number in range(1, len(EXAMPLES) + 1)]


def ask_to_shut_down(example: threading.Thread) -> None:
    """Until somebody objects. That nobody is there yet to be asked shuts down nothing here."""

    def ask_again() -> None:
        while example.is_alive():
            cfg.try_shutdown()

    with Cfg() as cfg, pytest.raises(LibraryError) as caught:
        ask_again()
    assert caught.value.code is CsError.BUSY


def test_every_example_is_run() -> None:
    text = DOCUMENT.read_text()
    assert len(EXAMPLES) == text.count("```python") == text.count("```text")
    for name in ("Cpg", "Cmap", "Quorum", "Votequorum", "Cfg"):
        mine = [code for code, _ in EXAMPLES if f"with {name}(" in code]
        assert any("async for" in code for code in mine), name
        assert any("async for" not in code for code in mine), name


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=NAMES)
def test_example(
    code: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[BaseException] = []

    def run() -> None:
        try:
            exec(compile(code, str(DOCUMENT), "exec"), {"__name__": "example"})
        except BaseException as fault:
            faults.append(fault)

    with served() as server:
        monkeypatch.setattr(session, "Connection", lambda name: Connection(server.prefix + name))
        example = threading.Thread(target=run, daemon=True)
        example.start()
        if "reply_to_shutdown" in code:
            ask_to_shut_down(example)
        example.join(PATIENCE_S)
        assert not example.is_alive()
    assert faults == []
    assert capsys.readouterr().out == printed
