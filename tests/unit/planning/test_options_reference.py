"""docs/reference/options.md: the tests it names exist, and no field of a document is missing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook.directory.schemas import DOCUMENTS, Schema
from offhook.directory.schemas.clicktocalls import CLICKTOCALL

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "reference" / "options.md").read_text()
KEPT = {
    document: set(re.findall(r"`([\w.]+)`", fields))
    for document, fields in re.findall(
        r"^\| (\w+) \| (.*) \|$", TEXT.partition("do nothing\n")[2], re.MULTILINE
    )
}


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


def fields(schema: Schema, above: str = "") -> Iterator[str]:
    """Yield the dotted paths of all fields of a document; list items and free names take no step."""
    for name, field in schema.get("properties", {}).items():
        yield f"{above}{name}"
        yield from fields(field, f"{above}{name}.")
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from fields(inner, above)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_field_has_an_effect_or_is_said_to_have_none(document: str) -> None:
    pages = [*(ROOT / "docs" / "reference").glob("*.md"), *(ROOT / "docs" / "topics").glob("*.md")]
    named = "".join(page.read_text() for page in pages).replace(TEXT, TEXT.partition("do nothing\n")[0])
    words = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`\n]*)`", named))))
    known, kept = set(fields(DOCUMENTS[document])), KEPT.get(document, set())
    assert kept <= known
    acting = {path for path in known if not f"{path}.".startswith(tuple(f"{path}." for path in kept))}
    assert [path for path in acting if path.split(".")[-1] not in words] == []
