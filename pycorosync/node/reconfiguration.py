"""Brings a changed file, or a changed key, into a running node (corosync: reload in exec/cfg.c, and the key
watchers of exec/totemconfig.c).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pycorosync.cmap.store import Change, TrackEvent
from pycorosync.config.host import HostFacts
from pycorosync.config.load import AccessFiles
from pycorosync.config.model import Configuration, TotemConfig
from pycorosync.config.reload import RefusedReload, ReloadPlan, Stage, change_option, plan_reload
from pycorosync.cs_error import CsError
from pycorosync.log import subsystem
from pycorosync.node.knet_network import log_nozzle
from pycorosync.services.cfg.service import RELOAD_IN_PROGRESS, CfgService
from pycorosync.services.service import NodeView

CFG = subsystem("CFG")
TOTEM = subsystem("TOTEM")

_ANY_CHANGE = TrackEvent.ADD | TrackEvent.DELETE | TrackEvent.MODIFY | TrackEvent.PREFIX


@dataclass(frozen=True, slots=True)
class ConfigurationFiles:
    """What the shell has read for a reload."""

    text: bytes
    filename: str
    host: HostFacts
    uidgid_files: AccessFiles


class Reconfiguration:
    """Knows the configuration that is in force; `apply` puts another one's ring and links into effect."""

    def __init__(
        self, configuration: Configuration, view: NodeView, apply: Callable[[TotemConfig], None]
    ) -> None:
        self._configuration = configuration
        self._view = view
        self._apply = apply
        view.cmap.track("totem.", _ANY_CHANGE, self._on_key)

    def reload(self, files: ConfigurationFiles | str, cfg: CfgService, now_ns: int) -> None:
        """Change to new files; a string says why there are none."""
        if isinstance(files, str):
            cfg.on_configuration_unreadable(files, now_ns)
            return
        try:
            plan = plan_reload(
                files.text,
                files.filename,
                host=files.host,
                running=self._configuration,
                keys=self._view.cmap,
                uidgid_files=files.uidgid_files,
            )
        except RefusedReload as refused:
            self._refuse(refused, cfg, now_ns)
            return
        cfg.on_configuration_read(now_ns)
        self._carry_out(plan)
        cfg.on_reloaded(CsError.OK, now_ns, crypto_changed=plan.crypto_changed)

    @staticmethod
    def _refuse(refused: RefusedReload, cfg: CfgService, now_ns: int) -> None:
        if refused.stage is Stage.PARSER:
            cfg.on_configuration_unreadable(str(refused).removeprefix(Stage.PARSER.value), now_ns)
            return
        cfg.on_configuration_read(now_ns)
        for notice in refused.notices:
            CFG.notice("%s", notice)
        for line in refused.details:
            TOTEM.error("%s", line)
        CFG.error("%s", refused)
        cfg.on_reloaded(CsError.INVALID_PARAM, now_ns, refusal="; ".join([*refused.details, str(refused)]))

    def _carry_out(self, plan: ReloadPlan) -> None:
        cmap = self._view.cmap
        for notice in plan.notices:
            CFG.notice("%s", notice)
        for key in plan.deletes:
            cmap.delete(key)
        cmap.update(plan.sets)
        self._configuration = plan.configuration
        self._apply(plan.configuration.totem)
        self.check_nozzle()

    def check_nozzle(self) -> None:
        """Say what there is to say about the nozzle section, at the start and after each reload."""
        log_nozzle(self._configuration.totem, self._view.cmap)

    def _on_key(self, change: Change) -> None:
        """A client has set or deleted an option of the totem section."""
        cmap = self._view.cmap
        if cmap.get_int(RELOAD_IN_PROGRESS):
            return  # the reload applies all of them together
        running = self._configuration
        changed = change_option(running.totem, cmap, change.key, deleted=change.new is None)
        if changed is None:
            return
        totem, entries, complaints = changed
        for complaint in complaints:
            TOTEM.error("%s", complaint)
        self._configuration = replace(running, totem=totem)
        cmap.update(entries)
        self._apply(totem)
