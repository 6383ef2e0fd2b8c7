"""Which way a NOTIFY goes: connection, NAT, proxy, the phone's own address, or where it registered from."""

from typing import Any

import pytest

from offhook.app.ports import PhoneNotice
from offhook.engines.embedded.notices import Notices
from offhook.sip.bindings import Binding
from offhook.sip.commands import OutgoingRequest
from offhook.sip.flows import Flow
from offhook.system import SystemClock

AOR = "sip:dev1@acme.test"
LOCAL = ("127.0.0.1", 5060)


class Wire:
    """An endpoint and its core that keep what they are asked to send."""

    def __init__(self, *flows: Flow) -> None:
        self.core = self
        self.sent: list[OutgoingRequest] = []
        self.flushed = 0
        self._flows = {flow.id: flow for flow in flows}

    def request(self, request: OutgoingRequest, now: float) -> None:
        self.sent.append(request)

    def flush(self) -> None:
        self.flushed += 1

    def flow(self, flow_id: str) -> Flow | None:
        return self._flows.get(flow_id)

    def flow_to(self, transport: str, remote: tuple[str, int]) -> Flow:
        return Flow(transport, LOCAL, remote)


class Known:
    """Bindings of one address of record."""

    def __init__(self, *bindings: Binding) -> None:
        self._bindings = list(bindings)

    def bindings(self, aor: str) -> list[Binding]:
        return self._bindings if aor == AOR else []


def binding(contact: str = "sip:dev1@192.0.2.9:5070", **more: Any) -> Binding:
    fields = {"received_host": "198.51.100.7", "received_port": 4_000, "transport": "udp", **more}
    return Binding(aor=AOR, contact=contact, expires_at=2e9, registered_at=1e9, **fields)


CONNECTION = Flow("tcp", LOCAL, ("198.51.100.7", 4_000), "tcp-1")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (binding(), ("udp", ("192.0.2.9", 5_070))),
        (binding("sip:dev1@192.0.2.9;transport=tcp"), ("tcp", ("192.0.2.9", 5_060))),
        (binding("sip:dev1@phone.example"), ("udp", ("198.51.100.7", 4_000))),
        (binding(path=("<sip:192.0.2.5:5090;lr>",)), ("udp", ("192.0.2.5", 5_090))),
        (binding(flow_id="tcp-1", transport="tcp"), ("tcp", ("198.51.100.7", 4_000))),
    ],
)
def test_a_notice_goes_the_phones_way(one: Binding, expected: tuple[str, tuple[str, int]]) -> None:
    wire = Wire(CONNECTION)
    notices = Notices(wire, Known(one), SystemClock())  # type: ignore[arg-type]
    assert notices.notify(AOR, PhoneNotice(event="check-sync")) == 1
    [request] = wire.sent
    assert (request.flow.transport, request.flow.remote) == expected
    assert (request.method, request.request_uri, request.route_set) == ("NOTIFY", one.contact, one.path)
    assert ("Event", "check-sync") in request.headers
    assert wire.flushed == 1


def test_whoever_cannot_be_reached_is_not_counted() -> None:
    wire = Wire()
    gone = binding(flow_id="tcp-9", transport="tcp")
    notices = Notices(wire, Known(gone, binding()), SystemClock())  # type: ignore[arg-type]
    assert notices.notify(AOR, PhoneNotice(event="x", content_type="text/plain", body=b"y")) == 1
    assert [(request.content_type, request.body) for request in wire.sent] == [("text/plain", b"y")]
    assert notices.notify("sip:nobody@acme.test", PhoneNotice(event="x")) == 0
