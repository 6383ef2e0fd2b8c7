"""Every input that ever found something, and those that reach much of the code, through its target."""

from pathlib import Path

import pytest

from .corpus import kept, seeds
from .names import NAMES
from .targets import TARGETS, run


def assert_taken_or_refused(name: str, data: bytes) -> None:
    """The target raises what is no refusal in words, and AssertionError for what takes too long."""
    run(name, data)


def test_every_target_has_its_name() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_taken_or_refused(name: str) -> None:
    examples = list(seeds(name))
    assert examples
    for example in examples:
        assert_taken_or_refused(name, example)


@pytest.mark.parametrize(
    ("name", "path"),
    [pytest.param(name, path, id=f"{name}/{path.name}") for name in NAMES for path in kept(name)],
)
def test_input_that_found_something(name: str, path: Path) -> None:
    assert_taken_or_refused(name, path.read_bytes())
