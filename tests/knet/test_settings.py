"""Settings that no checked configuration holds."""

from dataclasses import replace

import pytest

from tests.knet.network import link_settings, settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"node_id": 0},
        {"node_id": 65536},
        {"node_id": 2},
        {"peers": {70000: {0: "a"}}},
        {"peers": {2: {1: "a"}}},
        {"links": (link_settings(0), link_settings(0))},
        {"links": (link_settings(8),), "peers": {}},
    ],
)
def test_they_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"node|link|others"):
        replace(settings(1, 3), **wrong)  # type: ignore[arg-type]


def test_eight_links_and_the_highest_node() -> None:
    assert len(settings(65535, 2, links=8).links) == 8
