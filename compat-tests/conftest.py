"""What every test against the real thing needs: root, tidy surroundings, and the two sides."""

import os
from collections.abc import Iterator

import pytest
from lab import OURS, REAL, Engine, Host, Lab, corosync_conf
from lab.network import tidy


def pytest_configure(config: pytest.Config) -> None:
    if os.geteuid() != 0:
        pytest.exit("the lab needs root", returncode=2)
    tidy()


@pytest.fixture(params=[REAL, OURS], ids=repr)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each implementation in turn: a test that takes it states what both must do."""
    return request.param  # type: ignore[no-any-return]


def _one_host(engine: Engine) -> Iterator[Host]:
    with Lab(hosts=1) as lab:
        engine.start(lab[1], corosync_conf(lab))
        yield lab[1]


@pytest.fixture
def host(engine: Engine) -> Iterator[Host]:
    """A host on which that implementation runs as a cluster of one."""
    yield from _one_host(engine)


@pytest.fixture
def real_host() -> Iterator[Host]:
    """A host that runs the distribution's corosync as a cluster of one."""
    yield from _one_host(REAL)


@pytest.fixture
def our_host() -> Iterator[Host]:
    """A host that runs this implementation as a cluster of one."""
    yield from _one_host(OURS)
