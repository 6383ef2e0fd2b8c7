"""A real name server on loopback, with one zone of the test's own."""

from typing import Final

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from .datagrams import DatagramThread

LONGEST_QUERY: Final = 4_096


class NameServer(DatagramThread):
    """Answers from `records`; what is not among them does not exist."""

    def __init__(self, *records: str) -> None:
        """Records as in a zone file: `carrier.test. 60 IN SRV 0 0 5060 a.carrier.test.`."""
        self._sets: dict[tuple[str, str], dns.rrset.RRset] = {}
        self.asked: list[tuple[str, str]] = []
        self.is_silent = False
        """It takes queries and says nothing."""
        for record in records:
            self.add(record)
        super().__init__("name server")
        self.address: tuple[str, int] = self.socket.getsockname()

    def add(self, record: str) -> None:
        """Add one record."""
        name, ttl, _, kind, *data = record.split()
        new = dns.rrset.from_text(name, int(ttl), "IN", kind, " ".join(data))
        known = self._sets.setdefault((name.rstrip(".").lower(), kind), new)
        known.update(new)

    def take(self, data: bytes, source: tuple[str, int]) -> None:
        """Answer a query, or note it and say nothing."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), question.rdtype
        self.asked.append((name, dns.rdatatype.to_text(kind)))
        if not self.is_silent:
            self.socket.sendto(self._answer(query, name, dns.rdatatype.to_text(kind)), source)

    def _answer(self, query: dns.message.Message, name: str, kind: str) -> bytes:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if (name, kind) in self._sets:
            answer.answer.append(self._sets[name, kind])
        elif all(known != name for known, _ in self._sets):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()
