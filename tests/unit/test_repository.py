"""Facts about the repository that a newcomer, or a package mirror, trips over when they stop being true."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared_requirements() -> set[str]:
    project = PROJECT["project"]
    lines = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    return {canonical(re.split(r"[><=; ]", line)[0]) for line in lines}


def test_lock_holds_versions_and_hashes_but_no_addresses() -> None:
    pins = PIN.findall(LOCK)
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(pins) == len(blocks)
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|--(index|extra-index|find-links|trusted-host)", LOCK)


def test_every_declared_requirement_is_locked() -> None:
    locked = {canonical(name) for name, _ in PIN.findall(LOCK)}
    assert declared_requirements() <= locked


def test_exact_pins_agree_with_the_lock() -> None:
    locked = {canonical(name): version for name, version in PIN.findall(LOCK)}
    lines = [*PROJECT["project"]["optional-dependencies"]["dev"], *PROJECT["build-system"]["requires"]]
    exact = [line.partition(";")[0].strip().split("==") for line in lines if "==" in line]
    assert {canonical(name): version for name, version in exact} == {
        canonical(name): locked[canonical(name)] for name, _ in exact
    }


def test_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def test_ci_runs_the_readmes_test_command() -> None:
    assert re.search(r"^make test", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
