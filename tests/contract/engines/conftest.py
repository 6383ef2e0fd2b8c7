"""Every adapter of the engine port, one after the other."""

import pytest

from .given_engine import GivenLegs, given_embedded_legs
from .given_workers import given_worker_legs


@pytest.fixture(params=["embedded", "workers"])
def given_legs(request: pytest.FixtureRequest) -> GivenLegs:
    """What runs an engine and yields words about its legs."""
    return given_embedded_legs if request.param == "embedded" else given_worker_legs
