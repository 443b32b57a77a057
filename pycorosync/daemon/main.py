"""The daemon's command: configuration, start, exit status (corosync: main() of exec/main.c)."""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Iterable
from random import Random

from pycorosync import COROSYNC_VERSION
from pycorosync.config.model import (
    Configuration,
    LoggingConfig,
    Phase,
    RefusedConfig,
    SystemConfig,
    Transport,
)
from pycorosync.daemon.command_line import (
    USAGE,
    Options,
    PathTooLong,
    UsageError,
    features,
    parse_arguments,
    version_text,
)
from pycorosync.daemon.configuration import read_configuration
from pycorosync.daemon.crash import before_a_crash
from pycorosync.daemon.explanation import explain_configuration
from pycorosync.daemon.logging import LogConfigError, LogSystem
from pycorosync.daemon.process import (
    ExitStatus,
    PidFile,
    StartError,
    daemonize,
    enter_state_directory,
    log_exit,
    set_process_name,
)
from pycorosync.daemon.realtime import Scheduling, apply_scheduling, keep_heap, lock_memory
from pycorosync.daemon.ring_id_file import RingIdFile
from pycorosync.daemon.shell import Shell
from pycorosync.errors import ConfigError
from pycorosync.ipc.shared_memory import remove_stale
from pycorosync.log import ERROR, subsystem
from pycorosync.node.knet_network import refused_by_libknet
from pycorosync.node.node import Node

LOG = subsystem("MAIN")
SERV = subsystem("SERV")
TOTEM = subsystem("TOTEM")

_TRANSPORT_TITLES = {
    Transport.KNET: "Kronosnet",
    Transport.UDPU: "UDP/IP Unicast",
    Transport.UDP: "UDP/IP Multicast",
}


def run() -> None:
    """Entry point of the command `corosync`."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """The whole life of the daemon; returns the exit status."""
    # Until the loop runs, a signal ends us as it ends any process, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    log_system = LogSystem()
    try:
        options = parse_arguments(arguments)
    except UsageError as fault:
        sys.stderr.write(f"corosync: {fault}\n{USAGE}")
        return ExitStatus.USAGE
    except PathTooLong:
        log_system.last_words("Config file path too long.")
        return ExitStatus.USAGE
    if options is None:
        sys.stdout.write(version_text())
        return ExitStatus.OK
    if options.explain or options.against_running:
        return explain_configuration(options)
    log_system.install()
    try:
        return Daemon(options, log_system).run(arguments)
    finally:
        log_system.close()


class Daemon:
    """One start of the daemon, from the configuration to the exit status."""

    def __init__(self, options: Options, log_system: LogSystem) -> None:
        self._options = options
        self._log_system = log_system
        self._state_directory = ""  # until it is known

    def run(self, arguments: list[str]) -> int:
        try:
            configuration = self._configure()
            if not self._options.test_only:
                self._serve(configuration, arguments)
        except RefusedConfig as refused:
            return self._give_up(refused)
        except StartError as fault:
            if fault.text:
                LOG.error("%s", fault.text)
                self._say_on_stderr(fault.text)
            log_exit(fault.status, fault.source)
            return fault.status
        except Exception as fault:
            return self._report_defect(fault)
        log_exit(ExitStatus.OK)
        return ExitStatus.OK

    # --- configuration

    def _configure(self) -> Configuration:
        """Read and check everything that `corosync -t` looks at, with its log lines."""
        try:
            configuration = read_configuration(self._options.configuration_file)
        except RefusedConfig as refused:
            if refused.logging is None or refused.system is None:
                raise
            self._begin(refused.logging, refused.system, refused.warnings)
            phase = refused.phase
            status = ExitStatus(phase.exit_status)
            raise StartError(status, refused.faults[0].text, phase.source) from refused
        self._begin(configuration.logging, configuration.system, configuration.warnings)
        return configuration

    def _begin(self, logging: LoggingConfig, system: SystemConfig, warnings: Iterable[str]) -> None:
        """Start to log, and say what is said before the rest of the configuration is judged."""
        try:
            self._log_system.configure(logging)
        except LogConfigError as fault:
            # It could be opened a moment ago, or this would have been found with the other faults.
            self._log_system.last_words(f"parse error in config: {fault}.")
            raise StartError(ExitStatus.LOG_CONFIG, "", Phase.LOGGING.source) from fault
        if not self._options.test_only:
            LOG.notice("Corosync Cluster Engine %s starting up", COROSYNC_VERSION)
            LOG.info("Corosync built-in features:%s", features())
        enter_state_directory(system.state_dir)
        self._state_directory = system.state_dir
        for warning in warnings:
            LOG.warning("%s", warning)

    def _say_on_stderr(self, text: str) -> None:
        """Compatibility: `corosync -t` refuses without a word what logs elsewhere; we never do."""
        if self._options.test_only and not self._log_system.is_on_stderr("MAIN", ERROR):
            sys.stderr.write(f"{text}\n")

    def _give_up(self, refused: RefusedConfig) -> int:
        """Logging is not up yet, but the reason must not be lost."""
        self._log_system.last_words(refused.faults[0].text)
        return refused.phase.exit_status

    def _report_defect(self, fault: Exception) -> int:
        """A defect of this program: where it happened belongs in the log, for stderr may lead nowhere."""
        for text in traceback.format_exception(fault):
            for line in text.splitlines():
                LOG.error("%s", line)
        if self._state_directory:
            # Where corosync would end by abort(3).
            self._log_system.store_flight_data(self._state_directory)
        log_exit(ExitStatus.FATAL, "main.py")
        return ExitStatus.FATAL

    # --- service

    def _serve(self, configuration: Configuration, arguments: list[str]) -> None:
        """Become a daemon and run the node until it is asked to stop. Raises StartError."""
        for phase, text in ((phase, fault.text) for phase, fault in configuration.start_faults):
            if phase is Phase.START:
                raise StartError(ExitStatus.MAIN_CONFIG, text, phase.source)
        system = configuration.system
        apply_scheduling(
            Scheduling(system.move_to_root_cgroup, "yes" if system.sched_rr else "no", system.priority)
        )
        if not self._options.foreground:
            daemonize()
            LOG.debug("Corosync TTY detached")
        set_process_name(arguments)
        before_a_crash(lambda: self._log_system.store_flight_data(self._state_directory))
        keep_heap()
        lock_memory()
        self._log_system.start_thread()
        pid_file = PidFile()
        pid_file.acquire(os.getpid())
        remove_stale()
        self._run_node(configuration)
        # After anything but an orderly stop it stays: who finds it unlocked knows how we ended.
        pid_file.release()

    def _run_node(self, configuration: Configuration) -> None:
        state_dir, transport = configuration.system.state_dir, configuration.totem.transport
        TOTEM.notice("Initializing transport (%s).", _TRANSPORT_TITLES[transport])
        if transport is Transport.KNET:
            for name in refused_by_libknet(configuration.totem.timers):
                TOTEM.warning("knet_handle_%s failed: Invalid argument (22)", name)
            TOTEM.info("totemknet initialized")
        sequence = RingIdFile(state_dir, configuration.totem.node_id).create_or_load()
        try:
            node = Node(configuration, sequence, Random(os.urandom(16)), os.urandom)
        except ValueError as fault:
            # Crypto that the checks of the configuration let pass and knet does not have.
            LOG.error("%s", fault)
            raise StartError(ExitStatus.FATAL, "Can't initialize TOTEM layer", "main.c:1608") from fault
        shell = Shell(node, self._options.configuration_file, self._log_system, state_dir)
        try:
            shell.start()
        except ConfigError as refused:
            # The services know what they refuse only when they start.
            text = refused.faults[0].text
            SERV.error("Service engine 'corosync_quorum' failed to load for reason '%s'", text)
            raise StartError(ExitStatus.SERVICE_ENGINE_INIT, "", Phase.QUORUM.source) from refused
        # Everything that lives as long as the process is made: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        shell.run()
