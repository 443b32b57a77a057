"""Faults planted into the core, to show that the simulator and its rules find such faults.

    python -m tests.simulator.planted              how many lives it takes to find each
    python -m tests.simulator.planted NAME SEED    one life with one fault, and what was found

Each is what somebody could write by mistake, or has written in corosync's history.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

import pytest

from pycorosync.node import node
from pycorosync.node.outbox import Outbox
from pycorosync.services.sync import Synchronizer
from pycorosync.totem import membership, outputs, recovery, ring, token, window
from pycorosync.totem.messages import RECOVERY_COPY, Join, MessageType
from pycorosync.totem.packing import Packer, Unpacker
from pycorosync.totem.ring import SingleRing
from pycorosync.totem.states import State
from tests.simulator.chaos import Chaos, report_of

LIVES: Final = 60  # so many at most for each fault


def resends_nothing(patch: pytest.MonkeyPatch) -> None:
    """Nobody sends again what others ask for."""
    patch.setattr(token, "take_requested", lambda *_arguments: [])


def strikes_requests_off(patch: pytest.MonkeyPatch) -> None:
    """A retransmission is skipped, but struck off the token's list."""
    take = token.take_requested

    def forgetful(*arguments: Any) -> list[Any]:
        return take(*arguments)[1:]

    patch.setattr(token, "take_requested", forgetful)


def delivers_past_a_hole(patch: pytest.MonkeyPatch) -> None:
    """All that is there is delivered, whatever is missing before it."""
    patch.setattr(window.Window, "take_contiguous", window.Window.take_rest)


def drops_what_is_behind_a_hole(patch: pytest.MonkeyPatch) -> None:
    """When the ring is gone, only what came before the first hole is delivered."""
    patch.setattr(window.Window, "take_rest", lambda _window: [])


def forgets_the_ring_id(patch: pytest.MonkeyPatch) -> None:
    """The number of the ring is not stored."""
    patch.setattr(node.Node, "_on_save_ring_id", lambda *_arguments: None)


def begins_with_the_stored_number(patch: pytest.MonkeyPatch) -> None:
    """3675dace: the first ring of a life has the number of the last one before."""
    create = SingleRing.__init__

    def again(self: SingleRing, config: Any, node_id: int, ring_seq: int, *rest: Any) -> None:
        create(self, config, node_id, ring_seq - 1 if ring_seq else 0, *rest)

    patch.setattr(SingleRing, "__init__", again)


def recovers_nothing(patch: pytest.MonkeyPatch) -> None:
    """No old message is sent again on the new ring."""
    patch.setattr(recovery, "messages_to_originate", lambda *_arguments: [])


def files_copies_of_other_rings(patch: pytest.MonkeyPatch) -> None:
    """Recovery copies count, whatever ring they are of."""

    def restore(recovered: window.Window, old: window.Window, _ring_id: Any) -> None:
        for message in recovered.between(recovered.released, recovered.aru):
            inner = recovery.unwrap(message) if message.encapsulated == RECOVERY_COPY else None
            if inner is not None:
                old.add(inner)

    patch.setattr(recovery, "restore_old_messages", restore)


def says_it_has_all(patch: pytest.MonkeyPatch) -> None:
    """The commit token says of everybody that nothing is missing."""
    fill = recovery.fill_entry

    def boast(*arguments: Any) -> Any:
        offered = fill(*arguments)
        return offered._replace(entries=tuple(entry._replace(received=1) for entry in offered.entries))

    patch.setattr(recovery, "fill_entry", boast)


def takes_all_for_companions(patch: pytest.MonkeyPatch) -> None:
    """Whoever is in the old and the new ring counts as come along, also by a detour."""
    patch.setattr(
        recovery,
        "transitional_members",
        lambda offered, members, _ring_id: tuple(sorted(set(offered.members) & set(members))),
    )


def installs_at_once(patch: pytest.MonkeyPatch) -> None:
    """The new ring is installed at the first token that says that nobody sends copies any more."""
    on_token = recovery.Progress.on_token

    def hasty(self: recovery.Progress, *arguments: Any) -> bool:
        return on_token(self, *arguments) or self.quiet_visits >= 1

    patch.setattr(recovery.Progress, "on_token", hasty)


def uses_tokens_twice(patch: pytest.MonkeyPatch) -> None:
    """4ee84c51 and others: a copy of the token is taken for a new one."""
    patch.setattr(ring, "precedes", lambda *_arguments: True)


def never_lowers_the_aru(patch: pytest.MonkeyPatch) -> None:
    """A node that lacks messages does not say so, and the others let go of them."""

    def boast(message: Any, node_id: int, _aru: int) -> None:
        message.aru, message.aru_addr = message.seq, 0

    patch.setattr(token, "update_aru", boast)


def agrees_with_half(patch: pytest.MonkeyPatch) -> None:
    """Consensus is when half of the nodes have agreed."""
    patch.setattr(
        membership,
        "has_consensus",
        lambda proc, failed, agreed: len((proc - failed) & agreed) * 2 >= len(proc - failed),
    )


def takes_foreign_messages(patch: pytest.MonkeyPatch) -> None:
    """A message is filed without a look at its ring."""

    def file(self: SingleRing, message: Any, _now_ns: int) -> None:
        self._window.add(message)
        self._deliver(self._window.take_contiguous())

    patch.setitem(ring.MATRIX[State.OPERATIONAL], MessageType.MCAST, file)


def talks_after_leaving(patch: pytest.MonkeyPatch) -> None:
    """e45bbcc9's neighbour: the ring goes on after it has said goodbye."""
    leave = SingleRing.leave

    def linger(self: SingleRing, now_ns: int) -> None:
        state = self._state
        leave(self, now_ns)
        self._state = state
        self._send_join(now_ns)

    patch.setattr(SingleRing, "leave", linger)


def releases_what_others_lack(patch: pytest.MonkeyPatch) -> None:
    """d99fba72's neighbour: messages are let go when they have been delivered here."""
    release = window.Window.release
    patch.setattr(window.Window, "release", lambda self, _up_to: release(self, self.delivered))


def keeps_fragments_of_who_left(patch: pytest.MonkeyPatch) -> None:
    """3442f911: the beginning of a message outlives its sender's departure."""
    patch.setattr(Unpacker, "drop", lambda *_arguments: None)


def leaves_without_its_name(patch: pytest.MonkeyPatch) -> None:
    """e45bbcc9: the leave message does not say who leaves."""

    def leave(self: SingleRing, now_ns: int) -> None:
        nobody = outputs.Broadcast(
            Join(0, self._node_id, self._ring_id.seq, tuple(self.proc), ()).encode(), loop_back=False
        )
        self.outputs.append(nobody)
        self._state = State.OFFLINE

    patch.setattr(SingleRing, "leave", leave)


def mixes_fragments(patch: pytest.MonkeyPatch) -> None:
    """One reassembly for a sender's normal messages and those of its synchronization. A scenario's fault."""
    patch.setattr(Unpacker, "begin_sync", lambda _unpacker: None)
    patch.setattr(Unpacker, "end_sync", lambda _unpacker: None)


def lets_new_messages_overtake(patch: pytest.MonkeyPatch) -> None:
    """40263892: what clients sent is not held back behind the synchronization."""
    patch.setattr(Packer, "begin_sync", lambda _packer: None)


def does_not_wait_for_barriers(patch: pytest.MonkeyPatch) -> None:
    """The first barrier ends a service's synchronization."""
    on_barrier = Synchronizer._on_barrier

    def hasty(self: Synchronizer, node_id: int, now_ns: int) -> None:
        self._missing &= {node_id}
        on_barrier(self, node_id, now_ns)

    patch.setattr(Synchronizer, "_on_barrier", hasty)


def tells_another_config_version(patch: pytest.MonkeyPatch) -> None:
    """C#828: a node says that its configuration is newer than it is."""
    send = Outbox.send

    def odd(self: Outbox, head: Any, body: Any) -> None:
        data = bytearray(bytes(head) + bytes(body))
        if data[:4] == bytes(4):
            data[328] += 1
            head, body = bytes(data), b""
        send(self, head, body)

    patch.setattr(Outbox, "send", odd)


def speaks_for_another(patch: pytest.MonkeyPatch) -> None:
    """C#63: node info of a device before any of the node itself."""
    send = Outbox.send

    def odd(self: Outbox, head: Any, body: Any) -> None:
        data = bytes(head)
        if data[:4] == b"\0\0\5\0":
            head = data[:16] + bytes(4) + data[20:]
        send(self, head, body)

    patch.setattr(Outbox, "send", odd)


FAULTS: Final[tuple[Callable[[pytest.MonkeyPatch], None], ...]] = (
    resends_nothing, strikes_requests_off, delivers_past_a_hole, drops_what_is_behind_a_hole,
    forgets_the_ring_id, begins_with_the_stored_number, recovers_nothing, files_copies_of_other_rings,
    says_it_has_all, takes_all_for_companions, installs_at_once, uses_tokens_twice, never_lowers_the_aru,
    releases_what_others_lack, keeps_fragments_of_who_left, agrees_with_half, takes_foreign_messages,
    talks_after_leaving, leaves_without_its_name, lets_new_messages_overtake, does_not_wait_for_barriers,
    tells_another_config_version, speaks_for_another,
)  # fmt: skip


def life_with(fault: Callable[[pytest.MonkeyPatch], None], seed: int) -> str | None:
    """What the rules say of one life with the fault; None if they see nothing."""
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        return report_of(Chaos(seed, dense=True))


def lives_until_found(
    fault: Callable[[pytest.MonkeyPatch], None], first: int = 1, lives: int = LIVES
) -> int | None:
    """The seed that finds the fault; None if none of so many does."""
    return next((seed for seed in range(first, first + lives) if life_with(fault, seed)), None)


def main() -> int:
    if len(sys.argv) == 3:
        (fault,) = (fault for fault in FAULTS if fault.__name__ == sys.argv[1])
        print(life_with(fault, int(sys.argv[2])))
        return 0
    missed = 0
    for fault in FAULTS:
        seed = lives_until_found(fault)
        missed += seed is None
        print(f"{fault.__name__}: {'NOT FOUND' if seed is None else f'found by seed {seed}'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
