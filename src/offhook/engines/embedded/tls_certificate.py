"""The node's own certificate, for those who give none: self-signed, made once, kept in the data folder."""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY: Final = datetime.timedelta(days=3650)
"""Phones that were told to trust it cannot be visited every year."""
BACKDATED: Final = datetime.timedelta(days=1)
"""For phones whose clock is behind."""


def own_certificate(folder: Path, names: Sequence[str], now: datetime.datetime) -> tuple[Path, Path]:
    """Return the paths of certificate and key in the folder; make both if there are none.

    names are host names and addresses that the certificate is good for, the first its common name.
    Raises OSError.
    """
    certificate_path, key_path = folder / "sip-certificate.pem", folder / "sip-key.pem"
    if not (certificate_path.exists() and key_path.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = make_certificate(names, now)
        _write_secret(key_path, key)
        certificate_path.write_bytes(certificate)
    return certificate_path, key_path


def make_certificate(names: Sequence[str], now: datetime.datetime) -> tuple[bytes, bytes]:
    """Return a self-signed certificate and its key, both PEM (ECDSA, P-256)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    key_bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_bytes


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
