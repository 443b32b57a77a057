"""The state of one resource, as mon and wd each keep it (corosync: exec/fsm.h and its two tables).

state x event      config_changed      failure
stopped            stopped, running    -
running            running, stopped    failed
failed             running, stopped    -
"""

from typing import Final

from pycorosync.log import SubsystemLogger

STOPPED: Final = "stopped"
RUNNING: Final = "running"
FAILED: Final = "failed"
CONFIG_CHANGED: Final = "config_changed"
FAILURE: Final = "failure"

TABLE: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    (STOPPED, CONFIG_CHANGED): (STOPPED, RUNNING),
    (RUNNING, CONFIG_CHANGED): (RUNNING, STOPPED),
    (FAILED, CONFIG_CHANGED): (RUNNING, STOPPED),
    (STOPPED, FAILURE): (),
    (RUNNING, FAILURE): (FAILED,),
    (FAILED, FAILURE): (),
}


class Machine:
    """Where a resource is in the table."""

    def __init__(self, name: str, logger: SubsystemLogger) -> None:
        self.state = STOPPED
        self._name = name
        self._logger = logger

    def enter(self, event: str, state: str) -> bool:
        """Go to `state` because of `event`, if the table allows it; whether that is a change.

        Compatibility: corosync ends the daemon where the table has nothing.
        """
        if state == self.state or state not in TABLE[self.state, event]:
            return False
        self._logger.info('Fsm:%s event "%s", state "%s" --> "%s"', self._name, event, self.state, state)
        self.state = state
        return True
