"""Result codes."""

import pytest

from pycorosync.cs_error import CsError


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (1, "CS_OK"),
        (6, "CS_ERR_TRY_AGAIN"),
        (12, "CS_ERR_NOT_EXIST"),
        (30, "CS_ERR_TOO_MANY_GROUPS"),
        (100, "CS_ERR_SECURITY"),
    ],
)
def test_numbers_and_names_are_those_of_the_c_libraries(code: int, label: str) -> None:
    assert CsError(code).label == label
