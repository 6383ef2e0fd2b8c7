"""The page that says what there is of KAZOO tells the truth."""

import re
from pathlib import Path

import pytest

from offhook.api.application import routes_of
from offhook.app.quirks import QUIRKS

from .node import ApiNode, TestAccount

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "kazoo-coverage.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the tables below a heading."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def known_tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))}


ENDPOINTS = [row for row in rows("Endpoints") if row[0] != "path" and not row[1].isdigit() and len(row) == 2]
ABSENT = [row for row in rows("Endpoints") if len(row) == 3 and row[1].isdigit()]
ODDITIES = [row for row in rows("Oddities") if row[0].isdigit()]


def full(path: str, account_id: str) -> str:
    path = path.strip("`")
    return path.replace("A", f"/v2/accounts/{account_id}", 1) if path.startswith("A") else path


def test_every_endpoint_is_in_the_route_table(node: ApiNode) -> None:
    there = {route.path: set(route.methods) for route in routes_of(node.services).all}
    told = {
        full(path, "{account_id}").removeprefix("/v2/"): set(methods.split()) for path, methods in ENDPOINTS
    }
    assert len(told) == len(ENDPOINTS) > 70
    assert {path: methods for path, methods in told.items() if there.get(path) != methods} == {}


@pytest.mark.parametrize("row", ABSENT, ids=lambda row: row[0].strip("`"))
def test_what_is_not_there_answers_so(node: ApiNode, acme: TestAccount, row: list[str]) -> None:
    method, _, path = row[0].strip("`").partition(" ")
    answer = node.ask(method, full(path, acme.id).replace("{id}", "f" * 32))
    assert answer.status == int(row[1])


def test_all_oddities_are_told() -> None:
    assert [int(row[0]) for row in ODDITIES] == list(range(1, 51))


def test_every_switch_is_told() -> None:
    assert {name for name in re.findall(r"`(\w+)`", PAGE) if name in QUIRKS} == QUIRKS
    switches = {cell.strip("`") for row in ODDITIES for cell in row[3:4] if cell and "test_" not in cell}
    assert switches <= QUIRKS


def test_every_test_it_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 60
    assert named - known_tests() == set()
