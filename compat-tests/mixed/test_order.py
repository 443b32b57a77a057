"""Total order in mixed rings under load, packet loss and whatever else a seed brings: the logs decide."""

import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from lab import Lab

from mixed.checker import check
from mixed.ring import TOKEN_OPTIONS, Ring
from mixed.talk import Talkers

LOSS_PERCENT = 5.0
EVENTS = ("crash", "stop", "pause", "long pause", "cut", "cut at once healed", "link")


def keep(ring: Ring, talkers: Talkers) -> Path:
    """Copies of all logs, which the lab would take with it."""
    folder = Path(tempfile.mkdtemp(prefix="mixed-order-"))
    for talker in talkers.all:
        shutil.copy(talker.path, folder / f"{talker.path.stem}-n{talker.node}")
    for number in ring.engines:
        (folder / f"corosync-n{number}").write_text(ring.log(number, 10**9))
    return folder


def disturb(ring: Ring, talkers: Talkers, rng: random.Random, lossy: int) -> str:
    """One event that the seed chooses, to its end: all nodes are there again, and all talk."""
    event, number = rng.choice(EVENTS), rng.choice(sorted(ring.engines))
    rest = tuple(set(ring.engines) - {number})
    if event in ("crash", "stop"):
        ring.crash(number) if event == "crash" else ring.stop(number)
        time.sleep(rng.uniform(0, 3))
        ring.start(number)
    elif event == "pause":
        ring.pause(number, 1.5)
    elif event == "long pause":
        ring.pause(number, rng.uniform(2, 4))
    elif event == "link":
        ring.lab.isolate(number, rng.randrange(ring.lab.links))
        time.sleep(rng.uniform(0, 2))
    else:
        ring.cut((number,), rest)
        time.sleep(rng.uniform(0, 0.9) if event == "cut at once healed" else rng.uniform(2.5, 4))
    ring.lab.heal()
    ring.lab.lose(lossy, LOSS_PERCENT)
    time.sleep(rng.uniform(0.5, 1.5))
    ring.wait_whole()
    talkers.start()
    return f"{event} n{number}"


@pytest.mark.long
@pytest.mark.parametrize("kinds", ["orr", "rro", "oro", "roo", "rooro"])
def test_logs_agree_whatever_happens(kinds: str) -> None:
    seed = int(os.environ.get("SEED", "1"))
    messages = int(os.environ.get("MESSAGES", "25000"))
    rng = random.Random(f"{kinds} {seed}")
    history = []
    with Lab(hosts=len(kinds), links=2) as lab:
        ring = Ring(lab, kinds, crypto=True, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        lossy = rng.choice(sorted(ring.engines))
        lab.lose(lossy, LOSS_PERCENT)
        talkers = Talkers(ring, seed, per_second=600 / len(kinds))
        talkers.start()
        try:
            while talkers.sent() < messages:
                talkers.wait_sent(rng.randrange(1, 800))
                history.append(disturb(ring, talkers, rng, lossy))
            lab.heal()
            logs = talkers.finish()
            faults = check(logs)
            complaints = ring.complaints()
            if faults:
                print(f"the logs are in {keep(ring, talkers)}")
        finally:
            print(f"seed {seed}: loss at n{lossy}, {', '.join(history)}")
        deliveries = sum(len(log.delivered) for log in logs)
        print(f"{sum(len(log.sent) for log in logs)} messages, {deliveries} deliveries")
        assert faults == []
        assert complaints == []


@pytest.mark.long
@pytest.mark.parametrize("transport", ["udpu", "udp"])
@pytest.mark.parametrize("kinds", ["orr", "roo"])
def test_logs_agree_without_knet(kinds: str, transport: str) -> None:
    with Lab(hosts=len(kinds)) as lab:
        ring = Ring(lab, kinds, transport=transport, totem=TOKEN_OPTIONS)
        ring.start()
        ring.wait_whole()
        lab.lose(2, LOSS_PERCENT)
        talkers = Talkers(ring, seed=3, per_second=300)
        talkers.start()
        talkers.wait_sent(5000)
        ring.crash(2)
        time.sleep(3)
        ring.start(2)
        ring.wait_whole()
        talkers.start()
        talkers.wait_sent(2000)
        assert check(talkers.finish()) == []
        assert ring.complaints() == []
