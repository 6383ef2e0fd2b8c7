"""Every input that ever found something, and those that reach much of the code, through its target."""

from pathlib import Path

import pytest

from .corpus import kept, seeds
from .names import NAMES
from .targets import TARGETS, run


def test_every_target_has_its_name() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_taken_or_refused(name: str) -> None:
    for seed in seeds(name):
        run(name, seed)


@pytest.mark.parametrize(
    ("name", "path"),
    [pytest.param(name, path, id=f"{name}/{path.name}") for name in NAMES for path in kept(name)],
)
def test_input_that_found_something(name: str, path: Path) -> None:
    run(name, path.read_bytes())
