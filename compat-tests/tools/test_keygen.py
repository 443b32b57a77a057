"""corosync-keygen of both: keys, and every way in which they can fail."""

import re

from lab import OURS, REAL, Engine, Lab

# As root without its privileges, for whom files of others are out of reach.
PLAIN = "setpriv --bounding-set=-all --inh-caps=-all"
LINES = (
    "corosync-keygen; stat -c '%a %s' /etc/corosync/authkey",
    "corosync-keygen; stat -c '%a %s' /etc/corosync/authkey",  # over the old one
    "corosync-keygen -k /run/k1 -s 128 -l; stat -c '%a %s' /run/k1",
    "corosync-keygen --key-file=/run/k2 --size 4096 --random-file /dev/zero --less-secure; wc -c /run/k2",
    "corosync-keygen --key /run/k3 --siz=200 operand; stat -c '%a %s' /run/k3",
    "corosync-keygen -k /run/k4 -s 127",
    "corosync-keygen -k /run/k4 -s 4097",
    "corosync-keygen -k /run/k4 -s abc",
    "corosync-keygen -k /run/k4 -s ''",
    "corosync-keygen -k /run/k4 -s -200",
    "corosync-keygen -k /run/k4 -s '200 '",
    "corosync-keygen -k /run/k4 -s 0x100",
    "corosync-keygen -k /run/k4 -s 99999999999999999999",
    "ls /run/k4",
    "corosync-keygen -s ' +200' -k /run/k5; stat -c '%a %s' /run/k5",
    "corosync-keygen -r /nonexistent -k /run/k6; ls /run/k6",
    "corosync-keygen -r /run -k /run/k6; ls /run/k6",
    "corosync-keygen -k /nonexistent/k",
    "corosync-keygen -k /run",
    "corosync-keygen -k ''",
    "corosync-keygen -k /dev/null/k",
    "mkdir /run/full; mount -t tmpfs -o size=4k lab /run/full; head -c 4096 /dev/zero >/run/full/x;"
    " corosync-keygen -k /run/full/k; echo $?; stat -c '%a %s' /run/full/k",
    f"mkdir -m 755 /run/other; chown nobody /run/other; {PLAIN} corosync-keygen -k /run/other/k",
    f"touch /run/foreign; chmod 666 /run/foreign; chown nobody /run/foreign; {PLAIN} corosync-keygen -k "
    "/run/foreign; echo $?; wc -c /run/foreign",
    f"touch /run/closed; chown nobody /run/closed; {PLAIN} corosync-keygen -k /run/closed",
    f"touch /run/source; chmod 0 /run/source; chown nobody /run/source; {PLAIN} corosync-keygen "
    "-r /run/source -k /run/k7",
    "corosync-keygen -k",
    "corosync-keygen -z",
    "corosync-keygen --nonsense",
    "corosync-keygen --less-secure=1",
    "corosync-keygen -h",
    "corosync-keygen --help -z",
    "corosync-keygen -z -h",
)


def answers(tools: Engine) -> dict[str, tuple[int, str, str]]:
    with Lab(hosts=1) as lab:
        tools.install_tools(lab[1])
        found = {}
        for line in LINES:
            done = lab[1].shell(line)
            err = re.sub(r"^/usr/sbin/(?=corosync-keygen: )", "", done.stderr, flags=re.MULTILINE)
            found[line] = (done.returncode, done.stdout, err)
        return found


def test_both_answer_alike() -> None:
    wanted, found = answers(REAL), answers(OURS)
    differences = [line for line in LINES if wanted[line] != found[line]]
    assert not differences, [(line, wanted[line], found[line]) for line in differences]
    assert {status for status, _out, _err in wanted.values()} >= {0, 1, 2}


def test_a_source_that_is_too_short_ends_it() -> None:
    with Lab(hosts=1) as lab:
        line = "head -c 100 /dev/zero >/run/short; timeout 3 corosync-keygen -r /run/short -k /run/k"
        # The distribution's asks for ever.
        assert lab[1].shell(f"{line} >/dev/null").returncode == 124
        OURS.install_tools(lab[1])
        done = lab[1].shell(line)
        assert (done.returncode, done.stderr) == (1, "corosync-keygen: Unexpected end of /run/short\n")
        assert not lab[1].shell("ls /run/k").stdout
