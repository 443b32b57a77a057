"""The daemon's command: options, configuration, start, exit status (corosync: main() of exec/main.c)."""

import gc
import getopt
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from pycorosync import COROSYNC_VERSION, __version__
from pycorosync.config.model import Configuration, MapEntry, Phase, RefusedConfig
from pycorosync.daemon.configuration import DEFAULT_FILE, read_configuration
from pycorosync.daemon.logging import LogSystem
from pycorosync.daemon.process import (
    ExitStatus,
    PidFile,
    StartError,
    daemonize,
    enter_state_directory,
    log_exit,
    set_process_name,
)
from pycorosync.daemon.realtime import Scheduling, apply_scheduling, lock_memory, raise_descriptor_limit
from pycorosync.daemon.ring_id_file import RingIdFile
from pycorosync.daemon.shell import Shell
from pycorosync.errors import ConfigError
from pycorosync.ipc.shared_memory import remove_stale
from pycorosync.log import subsystem
from pycorosync.node.node import Node

LOG = subsystem("MAIN")

# Of corosync's build options, those that this program has.
FEATURES = " systemd"
USAGE = """usage:
        -c     : Corosync config file path.
        -f     : Start application in foreground.
        -t     : Test configuration and exit.
        -v     : Display version, git revision and some useful information about Corosync and exit.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    configuration_file: str = DEFAULT_FILE
    foreground: bool = False
    test_only: bool = False


def run() -> None:
    """Entry point of the command `corosync`."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """The whole life of the daemon; returns the exit status."""
    try:
        options = parse_arguments(arguments)
    except getopt.GetoptError as fault:
        print(f"corosync: {fault.msg}", file=sys.stderr)
        sys.stderr.write(USAGE)
        return ExitStatus.USAGE
    if options is None:
        show_version()
        return ExitStatus.OK
    log_system = LogSystem()
    log_system.install()
    try:
        return Daemon(options, log_system).run(arguments)
    finally:
        log_system.close()


def parse_arguments(arguments: list[str]) -> Options | None:
    """None for -v, which ends the program at once. Raises GetoptError with getopt(3)'s text."""
    try:
        found, _ = getopt.gnu_getopt(arguments, "c:ftv")
    except getopt.GetoptError as fault:
        text = "option requires an argument" if "requires" in fault.msg else "invalid option"
        raise getopt.GetoptError(f"{text} -- '{fault.opt}'", fault.opt) from fault
    path, foreground, test_only = DEFAULT_FILE, False, False
    for name, value in found:
        if name == "-v":
            return None
        if name == "-c":
            path = value
        foreground = foreground or name == "-f"
        test_only = test_only or name == "-t"
    return Options(path, foreground, test_only)


def show_version() -> None:
    """`corosync -v`: scripts look for the first dotted number."""
    print(f"Corosync Cluster Engine, version '{COROSYNC_VERSION}'")
    print(f"pycorosync {__version__}")
    print(f"\nBuilt-in features:{FEATURES}")


class Daemon:
    """One start of the daemon, from the configuration to the exit status."""

    def __init__(self, options: Options, log_system: LogSystem) -> None:
        self._options = options
        self._log_system = log_system

    def run(self, arguments: list[str]) -> int:
        try:
            configuration = self._configure()
            if self._options.test_only:
                return ExitStatus.OK
            return self._serve(configuration, arguments)
        except RefusedConfig as refused:
            return self._report(refused)
        except StartError as fault:
            if fault.text:
                LOG.error("%s", fault.text)
            log_exit(fault.status)
            return fault.status

    def _configure(self) -> Configuration:
        configuration = read_configuration(self._options.configuration_file)
        self._start_logging(configuration.entries)
        self._announce()
        enter_state_directory(configuration.system.state_dir)
        for warning in configuration.warnings:
            LOG.warning("%s", warning)
        return configuration

    def _start_logging(self, entries: Iterable[MapEntry]) -> None:
        self._log_system.configure({key: value for key, _, value in entries if isinstance(value, str)})

    def _announce(self) -> None:
        if not self._options.test_only:
            LOG.notice("Corosync Cluster Engine %s starting up", COROSYNC_VERSION)
            LOG.info("Corosync built-in features:%s", FEATURES)

    def _report(self, refused: RefusedConfig) -> int:
        """Say what corosync would say, where it would say it."""
        text = refused.faults[0].text
        if refused.phase in (Phase.PARSER, Phase.LOGGING):
            # Logging is not up yet, so it must not be lost.
            print(text, file=sys.stderr)
            return refused.phase.exit_status
        if refused.logging is not None:
            self._log_system.configure(refused.logging)
        self._announce()
        if refused.system is not None and refused.phase is not Phase.QUORUM:
            enter_state_directory(refused.system.state_dir)
        LOG.error("%s", text)
        LOG.error(
            "Corosync Cluster Engine exiting with status %d at %s.",
            refused.phase.exit_status,
            refused.phase.source,
        )
        return refused.phase.exit_status

    def _serve(self, configuration: Configuration, arguments: list[str]) -> int:
        system = configuration.system
        self._refuse_start(configuration, Phase.START)
        apply_scheduling(
            Scheduling(system.move_to_root_cgroup, "yes" if system.sched_rr else "no", system.priority)
        )
        if not self._options.foreground:
            daemonize()
            LOG.debug("Corosync TTY detached")
        set_process_name(arguments)
        self._log_system.start_thread()
        lock_memory()
        raise_descriptor_limit()
        pid_file = PidFile()
        pid_file.acquire(os.getpid())
        remove_stale()
        try:
            return self._run_node(configuration)
        finally:
            pid_file.release()

    def _run_node(self, configuration: Configuration) -> int:
        state_dir = configuration.system.state_dir
        sequence = RingIdFile(state_dir, configuration.totem.node_id).create_or_load()
        node = Node(configuration, sequence, Random(time.monotonic_ns()))
        shell = Shell(node, self._options.configuration_file, self._log_system, state_dir)
        try:
            shell.start()
        except ConfigError as refused:
            # The services know what they refuse only when they start.
            text = refused.faults[0].text
            LOG.error("Service engine 'corosync_quorum' failed to load for reason '%s'", text)
            raise StartError(ExitStatus.SERVICE_ENGINE_INIT) from refused
        # Everything that lives as long as the process is made: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        shell.run()
        log_exit(ExitStatus(shell.status))
        return shell.status

    @staticmethod
    def _refuse_start(configuration: Configuration, phase: Phase) -> None:
        for kind, fault in configuration.start_faults:
            if kind is phase:
                raise RefusedConfig(phase, [fault])
