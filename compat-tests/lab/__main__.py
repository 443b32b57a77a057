"""The lab from a shell: python3 -m lab COMMAND (in compat-tests/)."""

import argparse
import subprocess
import sys

from lab.conf import corosync_conf
from lab.network import Lab, tidy


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="hosts in namespaces on this machine")
    parser.add_argument("--name", default="default", help="which lab; several can be up at once")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make hosts n1..nN and let them run")
    up.add_argument("hosts", type=int)
    up.add_argument("--links", type=int, default=1)
    conf = commands.add_parser("conf", help="write /etc/corosync/corosync.conf on every host and print it")
    conf.add_argument("--transport", default="knet")
    conf.add_argument("--crypto", action="store_true")
    conf.add_argument("--two-node", action="store_true")
    run = commands.add_parser("exec", help="run a command on a host")
    run.add_argument("host", type=int)
    run.add_argument("argv", nargs=argparse.REMAINDER)
    spawn = commands.add_parser(
        "spawn", help="start a command on a host in the background; prints its pid and log"
    )
    spawn.add_argument("host", type=int)
    spawn.add_argument("argv", nargs=argparse.REMAINDER)
    for name in ("cut", "isolate"):
        command = commands.add_parser(name, help="stop traffic between hosts")
        command.add_argument("hosts", type=int, nargs=2 if name == "cut" else 1)
        command.add_argument("--link", type=int)
    netem = commands.add_parser("netem", help="tc-netem(8) arguments for what a host sends; none removes it")
    netem.add_argument("host", type=int)
    netem.add_argument("argv", nargs=argparse.REMAINDER)
    lose = commands.add_parser("lose", help="lose a share of what a host receives")
    lose.add_argument("host", type=int)
    lose.add_argument("percent", type=float)
    commands.add_parser("heal", help="undo every cut and loss")
    commands.add_parser("down", help="end the lab and remove its files")
    clean = commands.add_parser("tidy", help="remove what killed runs left")
    clean.add_argument("--all", action="store_true", help="and every lab that is up")
    return parser


def main() -> int:
    options = _parser().parse_args()
    if options.command == "up":
        Lab(options.hosts, options.links, options.name, keep=True).up()
        return 0
    if options.command == "tidy":
        for name in tidy(options.all):
            print("removed", name)
        return 0
    lab = Lab.attach(options.name)
    if options.command == "conf":
        quorum = {"two_node": 1} if options.two_node else {}
        text = corosync_conf(lab, transport=options.transport, crypto=options.crypto, quorum=quorum)
        for host in lab.hosts:
            host.write("/etc/corosync/corosync.conf", text)
        print(text, end="")
    elif options.command == "exec":
        return subprocess.run(lab[options.host].inside(options.argv), check=False).returncode
    elif options.command == "spawn":
        process = lab[options.host].spawn(*options.argv)
        print(process.pid, process.log)
    elif options.command == "cut":
        lab.cut(options.hosts[0], options.hosts[1], options.link)
    elif options.command == "isolate":
        lab.isolate(options.hosts[0], options.link)
    elif options.command == "netem":
        lab.netem(options.host, " ".join(options.argv))
    elif options.command == "lose":
        lab.lose(options.host, options.percent)
    elif options.command == "heal":
        lab.heal()
    elif options.command == "down":
        lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
