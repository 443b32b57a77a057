"""Two real nodes and one of ours: they meet, part and meet again, and order messages alike."""

from lab import Lab

from mixed.checker import check
from mixed.ring import TOKEN_OPTIONS, Ring, Story
from mixed.talk import Talkers


def test_one_of_three_is_ours() -> None:
    with Lab(hosts=3) as lab:
        ring = Ring(lab, "ror", crypto=True, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        talkers = Talkers(ring, seed=1, per_second=200)
        for number in ring.engines:
            talkers.start(number)
        talkers.wait_sent(300)
        ring.crash(2)
        whole = Story((1, 3), True)
        ring.wait({1: whole, 3: whole})
        ring.start(2)
        ring.wait_whole()
        talkers.start(2)
        talkers.wait_sent(300)
        logs = talkers.finish()
        assert check(logs) == []
        # The checker sees what it must: one delivery less, and it finds a fault.
        place = max(i for i, (kind, _) in enumerate(logs[0].events) if kind == "d")
        del logs[0].events[place]
        assert check(logs) != []
        ring.stop(2)
        ring.wait({1: whole, 3: whole})
        ring.start(2)
        ring.wait_whole()
        assert ring.complaints() == []
