"""Which of two deadlines comes first; None stands for none."""


def first_of(one: int | None, other: int | None) -> int | None:
    if one is None:
        return other
    if other is None:
        return one
    return min(one, other)
