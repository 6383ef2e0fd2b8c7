"""Certificates made by the openssl program: a CA of the test's own, and what it signs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from .ports import HOST


@dataclass(frozen=True)
class Certificate:
    """Two PEM files."""

    certificate: Path
    key: Path

    @property
    def pem(self) -> str:
        """The text of the certificate."""
        return self.certificate.read_text()


def self_signed(folder: Path, name: str, *, san: str = f"IP:{HOST}") -> Certificate:
    """Return a certificate that is its own CA, good for the names in san."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}",
        "-out", str(made.certificate), "-keyout", str(made.key),
    )  # fmt: skip
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL)
