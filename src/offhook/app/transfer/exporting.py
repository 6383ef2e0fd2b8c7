"""Everything an installation keeps, as lines: accounts first, so that a reader knows whose the rest is."""

from collections.abc import Iterator
from itertools import chain

import msgspec

from .kazoo_form import written
from .model import Installation, Record, SourceStore


def lines(source: SourceStore) -> Iterator[bytes]:
    """Yield JSON lines: the installation, accounts, other documents, history, CDRs."""
    encode = msgspec.json.Encoder().encode
    for record in records(source):
        yield encode(written(record)) + b"\n"


def records(source: SourceStore) -> Iterator[Record]:
    """Yield them as records."""
    installation: Installation | None = source.installation()
    first: tuple[Record, ...] = () if installation is None else (installation,)
    return chain(first, source.accounts(), source.documents(), source.attempts(), source.cdrs())
