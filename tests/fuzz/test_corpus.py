"""Every input that ever found something, and those that reach much of the code, through its target."""

import pytest

from .corpus import learned, seeds
from .names import NAMES
from .targets import TARGETS, run


def test_every_target_has_its_name() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_taken_or_refused(name: str) -> None:
    inputs = seeds(name)
    assert len(inputs) > len(learned(name)) > 100
    for number, data in enumerate(inputs):
        try:
            run(name, data)
        except Exception as fault:
            fault.add_note(f"input {number} of {name}: {data!r}")
            raise
