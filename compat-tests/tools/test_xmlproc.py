"""corosync-xmlproc of both on the same documents."""

import re

import pytest
from lab import OURS, REAL, Engine, Lab

DOCUMENTS = {
    "good": """<?xml version="1.0"?>
<corosync><!-- a comment -->
  <totem version="2" cluster_name="a &amp; b&#10;c" transport="knet"><interface linknumber="0"/></totem>
  text <nodelist><node nodeid='1' ring0_addr="n1"/><node ring0_addr="n2" name=""/></nodelist>
  <logging to_syslog="yes"><logger_subsys subsys="QUORUM" debug="on"/></logging>
</corosync>""",
    "empty-root": '<corosync version="2"/>',
    "other-root": '<other><totem version="2"/></other>',
    "entities": '<!DOCTYPE corosync [<!ENTITY e "v">]><corosync><totem x="&e;"/></corosync>',
    "latin": '<?xml version="1.0" encoding="ISO-8859-1"?><corosync><a x="b"/></corosync>',
    "nothing": "",
    "mismatch": "<corosync>\n<a></b>\n</corosync>",
    "junk": "<corosync/>junk",
}
LINES = (
    "corosync-xmlproc",
    "corosync-xmlproc ''",
    "corosync-xmlproc nonexistent.xml",
    "corosync-xmlproc good.xml out.conf third; cat out.conf",
    "corosync-xmlproc other-root.xml out2.conf; ls out2.conf",
    "corosync-xmlproc nothing.xml out3.conf; ls out3.conf",
    *(f"corosync-xmlproc {name}.xml" for name in DOCUMENTS),
)


def answers(engine: Engine) -> dict[str, tuple[int, str, str]]:
    found = {}
    with Lab(hosts=1) as lab:
        engine.install_tools(lab[1])
        for name, text in DOCUMENTS.items():
            lab[1].write(f"/etc/corosync/{name}.xml", text)
        for line in LINES:
            done = lab[1].shell(f"cd /etc/corosync; {line}")
            out = re.sub(r"(?<= at )\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", "<now>", done.stdout, flags=re.M)
            out = out.replace("/usr/bin/corosync-xmlproc", "corosync-xmlproc")
            found[line] = (done.returncode, out, done.stderr)
    return found


@pytest.mark.parametrize("tools", [OURS], ids=repr)
def test_both_make_the_same_of_the_same(tools: Engine) -> None:
    wanted, found = answers(REAL), answers(tools)
    for line in LINES:
        assert found[line] == wanted[line], line
    assert "<now>" in wanted["corosync-xmlproc good.xml"][1]
