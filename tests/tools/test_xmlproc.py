"""corosync-xmlproc against what the real one made of the same documents (pycorosync/tools/xmlproc.py)."""

import time
from pathlib import Path

import pytest

from pycorosync.tools import xmlproc
from pycorosync.tools.xmlproc import BrokenDocument, convert, date_and_time, main

DOCUMENT = b"""<?xml version="1.0"?>
<!-- comment -->
<corosync a="1" b="x&amp;y&#10;z" >
  text
  <totem version="2" cluster_name="lab" xmlns:q="urn:q" q:z="3">
    <interface ringnumber="0" bindnetaddr="10.0.0.0"><deep x="1"/></interface>
    <q:foo/>
  </totem>
  <nodelist><node ring0_addr="a" nodeid='1'/><node ring0_addr="b"/></nodelist>
  <logging><![CDATA[x]]></logging><?pi x?>
</corosync>
"""
CONFIGURATION = """# Corosync configuration file generated from a.xml at NOW
a: 1
b: x&y
z

totem {
    version: 2
    cluster_name: lab
    q:z: 3

    interface {
        ringnumber: 0
        bindnetaddr: 10.0.0.0

        deep {
            x: 1
        }
    }

    q:foo {
    }
}

nodelist {

    node {
        ring0_addr: a
        nodeid: 1
    }

    node {
        ring0_addr: b
    }
}

logging {
}
"""
HEAD = "# Corosync configuration file generated from a.xml at NOW"


@pytest.mark.parametrize(
    ("document", "configuration"),
    [
        (DOCUMENT, CONFIGURATION),
        (b"<corosync/>", f"{HEAD}\n"),
        (b'<other a="1"><totem version="2"/></other>', ""),
        (
            b'<!DOCTYPE corosync [<!ENTITY e "val"><!ATTLIST totem d CDATA "dflt">]>'
            b'<corosync><totem x="&e;"/></corosync>',
            f"{HEAD}\n\ntotem {{\n    x: val\n    d: dflt\n}}\n",
        ),
        (
            b'<?xml version="1.0" encoding="ISO-8859-1"?><corosync><a x="\xe4"/></corosync>',
            f"{HEAD}\n\na {{\n    x: ä\n}}\n",
        ),
    ],
)
def test_documents(document: bytes, configuration: str) -> None:
    assert convert("a.xml", document, "NOW") == configuration


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (b"", "a.xml:1: parser error : Document is empty\n\n^"),
        (
            b"<corosync><a></b></corosync>",
            "a.xml:1: parser error : Opening and ending tag mismatch: a line 1 and b\n"
            "<corosync><a></b></corosync>\n                 ^",
        ),
        (
            b'<corosync><corosync a="1"/></corosync>junk',
            "a.xml:1: parser error : Extra content at the end of the document\n"
            '<corosync><corosync a="1"/></corosync>junk\n                                      ^',
        ),
        (
            b"<corosync>\n<totem a=1/>\n</corosync>\n",
            "a.xml:2: parser error : not well-formed (invalid token)\n<totem a=1/>\n         ^",
        ),
        (
            b'<?xml version="1.0" encoding="x-none"?><corosync/>',
            "a.xml:1: parser error : unknown encoding: x-none",
        ),
        (b"<corosync>\n<a>", "a.xml:2: parser error : no element found\n<a>\n   ^"),
    ],
)
def test_broken_documents(document: bytes, text: str) -> None:
    with pytest.raises(BrokenDocument) as caught:
        convert("a.xml", document, "NOW")
    assert str(caught.value) == text


def test_deep_documents_are_no_danger() -> None:
    def nested(depth: int) -> bytes:
        return b"<corosync>" + b"<a>" * depth + b"</a>" * depth + b"</corosync>"

    assert convert("a.xml", nested(1000), "NOW").count("{") == 1000
    with pytest.raises(BrokenDocument, match="too deeply"):
        convert("a.xml", nested(1001), "NOW")


@pytest.mark.parametrize(("zone", "text"), [(0, "Z"), (3600, "+01:00"), (-12600, "-03:30")])
def test_the_date(zone: int, text: str) -> None:
    now = time.struct_time((2026, 11, 26, 2, 22, 20, 3, 330, 0), {"tm_gmtoff": zone, "tm_zone": "x"})
    assert date_and_time(now) == "2026-11-26T02:22:20" + text


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmlproc, "date_and_time", lambda _now: "NOW")
    monkeypatch.setattr("sys.argv", ["/usr/bin/corosync-xmlproc"])


def test_to_standard_output_or_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.xml", tmp_path / "a.conf"
    source.write_bytes(DOCUMENT)
    wanted = CONFIGURATION.replace("a.xml", str(source))
    assert main([str(source)]) == 0
    assert capsys.readouterr() == (wanted, "")
    assert main([str(source), str(target), "ignored"]) == 0
    assert capsys.readouterr() == ("", "")
    assert target.read_text() == wanted
    source.write_text("<other/>")
    target.unlink()
    assert main([str(source), str(target)]) == 0
    assert not target.exists()


def test_what_goes_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.xml"
    for arguments in ([], [""]):
        assert main(arguments) == 1
        assert capsys.readouterr() == (
            "corosync-xmlproc input_config [output]\n\twhere input_config is valid XML configuration file\n",
            "",
        )
    assert main([str(source)]) == 6
    text = f'warning: failed to load external entity "{source}"\nunable to parse {source}\n'
    assert capsys.readouterr() == ("", text)
    source.write_text("<corosync>")
    assert main([str(source)]) == 6
    assert capsys.readouterr().err.endswith(f"unable to parse {source}\n")
    source.write_text("<corosync/>")
    assert main([str(source), str(tmp_path / "no" / "x")]) == 11
    assert capsys.readouterr().err.endswith("no/x: No such file or directory\n")
