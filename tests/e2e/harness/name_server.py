"""A real name server on loopback, with one zone of the test's own."""

import socket
import threading
from types import TracebackType
from typing import Final, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from .ports import HOST

LONGEST_QUERY: Final = 4_096


class NameServer:
    """Answers from `records`; what is not among them does not exist."""

    def __init__(self, *records: str) -> None:
        """Records as in a zone file: `carrier.test. 60 IN SRV 0 0 5060 a.carrier.test.`."""
        self._sets: dict[tuple[str, str], dns.rrset.RRset] = {}
        self.asked: list[tuple[str, str]] = []
        self.is_silent = False
        """It takes queries and says nothing."""
        for record in records:
            self.add(record)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._socket.settimeout(0.05)
        self.address: tuple[str, int] = self._socket.getsockname()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="name server")

    def add(self, record: str) -> None:
        """Add one record."""
        name, ttl, _, kind, *data = record.split()
        new = dns.rrset.from_text(name, int(ttl), "IN", kind, " ".join(data))
        known = self._sets.setdefault((name.rstrip(".").lower(), kind), new)
        known.update(new)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                data, source = self._socket.recvfrom(LONGEST_QUERY)
            except (TimeoutError, ConnectionError):
                continue
            query = dns.message.from_wire(data)
            question = query.question[0]
            name, kind = question.name.to_text(omit_final_dot=True).lower(), question.rdtype
            self.asked.append((name, dns.rdatatype.to_text(kind)))
            if not self.is_silent:
                self._socket.sendto(self._answer(query, name, dns.rdatatype.to_text(kind)), source)

    def _answer(self, query: dns.message.Message, name: str, kind: str) -> bytes:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if (name, kind) in self._sets:
            answer.answer.append(self._sets[name, kind])
        elif all(known != name for known, _ in self._sets):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()
