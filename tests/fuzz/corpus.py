"""Inputs to begin with: examples, what a fuzzer has learned, and what has found something.

In tests/data/fuzz: TARGET.zip holds inputs that reach much of the code, TARGET/ those that were at fault.
"""

import zipfile
from pathlib import Path
from typing import Final

from tests.unit.sip.messages import INVITE, wire

CORPUS: Final = Path(__file__).parents[1] / "data" / "fuzz"
RFC4475: Final = CORPUS.parent / "rfc4475"
SDP: Final = wire(INVITE).partition(b"\r\n\r\n")[2]
LEARNED_MAX: Final = 250
"""Inputs of one target in the repository: some 30 KB, and seconds in the suite."""
CHALLENGE: Final = (
    b'Digest realm="example.com", nonce="n", algorithm=SHA-256, qop="auth,auth-int", opaque="o"'
)


def kept(name: str) -> list[Path]:
    """Return the inputs of a target that are in the repository."""
    return sorted((CORPUS / name).glob("*"))


def seeds(name: str) -> list[bytes]:
    """Return what to begin with: examples of the RFC and of ours, what was learned, the inputs kept."""
    return _examples(name) + learned(name) + [path.read_bytes() for path in kept(name)]


def learned(name: str) -> list[bytes]:
    """Return what earlier runs have learned."""
    path = CORPUS / f"{name}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(member) for member in archive.namelist()]


def pack(name: str, folder: Path) -> int:
    """Keep the smallest inputs of a run's folder for the next; return how many."""
    smallest = sorted({path.read_bytes() for path in folder.iterdir()}, key=lambda data: (len(data), data))
    CORPUS.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(CORPUS / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(smallest[:LEARNED_MAX]):
            archive.writestr(zipfile.ZipInfo(f"{number:03}"), data, zipfile.ZIP_DEFLATED)
    return min(len(smallest), LEARNED_MAX)


def _examples(name: str) -> list[bytes]:
    messages = [wire(INVITE), *[path.read_bytes() for path in sorted(RFC4475.glob("*.dat"))]]
    values = (b"sip:a@b:5060;lr", b"SIP/2.0/UDP h:5060;branch=z9hG4bK1;rport", b'"A" <sip:a@b>;tag=1',
              b"1 INVITE",
              b'Digest username="u", realm="example.com", nonce="n", uri="sip:b", response="r"', CHALLENGE,
              b";a=b;c", b"a,b", CHALLENGE)  # fmt: skip
    return {
        "codec": messages,
        "framing": [b"\x07" + message for message in messages] + [b"\x02\r\n\r\n" + messages[0]],
        "sdp": [SDP],
        "grammar": [bytes([number]) + value for number, value in enumerate(values)],
        "registrar": [b"Contact: <sip:1001@192.0.2.2>;expires=60\0Contact: *\r\nExpires: 0"],
        "dialogs": [bytes(60), bytes(range(200)), bytes([0, 0, 0, 4, 0, 1, 0, 0, 1, 2, 2, 0, 0])],
    }[name]
