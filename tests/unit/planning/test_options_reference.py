"""docs/reference/options.md names tests: each of them exists."""

import re
from pathlib import Path

from offhook.directory.schemas.clicktocalls import CLICKTOCALL

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "reference" / "options.md").read_text()


def test_every_test_named_in_the_reference_exists() -> None:
    named = re.findall(r"`((?:e2e|unit)/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 60
    missing = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()
    ]
    assert missing == []


def test_every_field_of_a_button_is_in_the_reference() -> None:
    table = TEXT.partition("## Click-to-call buttons")[2].partition("## ")[0]
    assert [field for field in CLICKTOCALL["properties"] if f"`{field}" not in table] == []
