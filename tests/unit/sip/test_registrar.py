"""REGISTER by REGISTER: RFC 3261 10.3 and what phones make of it."""

import pytest

from offhook.sip.flows import Flow
from offhook.sip.message import Request, parse_message
from offhook.sip.registrar import MAX_CONTACTS, Registrar, RegistrarResult

AOR = "sip:dev1@acme.example.com"
PHONE = Flow("udp", ("192.0.2.1", 5060), ("198.51.100.7", 5062))
CONTACT = "<sip:dev1@198.51.100.7:5062>"


def register_message(
    contact: str = CONTACT, *, cseq: int = 1, call_id: str = "c1", extra: str = ""
) -> Request:
    lines = [
        "REGISTER sip:acme.example.com SIP/2.0",
        "Via: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK1",
        "From: <sip:dev1@acme.example.com>;tag=1",
        "To: <sip:dev1@acme.example.com>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} REGISTER",
        "Max-Forwards: 70",
    ]
    lines += [f"Contact: {contact}"] if contact else []
    lines += [extra] if extra else []
    message = parse_message("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
    assert isinstance(message, Request)
    return message


class Given:
    """A registrar and a clock."""

    def __init__(self) -> None:
        self.registrar = Registrar()
        self.now = 1_000.0

    def register(
        self, contact: str = CONTACT, *, source: Flow = PHONE, aor: str = AOR, **fields: object
    ) -> RegistrarResult:
        request = register_message(contact, **fields)  # type: ignore[arg-type]
        return self.registrar.register(request, aor=aor, now=self.now, source=source)

    def contacts(self) -> list[str]:
        return [binding.contact for binding in self.registrar.bindings(AOR, self.now)]


@pytest.fixture
def given() -> Given:
    return Given()


def test_a_contact_is_bound_for_the_default_time(given: Given) -> None:
    result = given.register()
    assert (result.status, len(result.added)) == (200, 1)
    assert result.headers == (("Contact", "<sip:dev1@198.51.100.7:5062>;expires=300"),)
    binding = given.registrar.bindings(AOR, given.now)[0]
    assert (binding.expires_at, binding.received_host, binding.received_port) == (
        1_300.0,
        "198.51.100.7",
        5062,
    )
    assert given.contacts() == ["sip:dev1@198.51.100.7:5062"]


@pytest.mark.parametrize(
    ("contact", "extra", "seconds"),
    [
        (f"{CONTACT};expires=60", "Expires: 900", 60),
        (CONTACT, "Expires: 900", 900),
        (f"{CONTACT};expires=86400", "", 3600),
        (f"{CONTACT};expires=banana", "", 3600),
        (f"{CONTACT};expires=10", "", 10),
    ],
)
def test_expiry_of(given: Given, contact: str, extra: str, seconds: int) -> None:
    assert given.register(contact, extra=extra).added[0].expires_at == given.now + seconds


def test_too_brief_is_refused_and_says_the_least(given: Given) -> None:
    result = given.register(f"{CONTACT};expires=9")
    assert (result.status, result.headers) == (423, (("Min-Expires", "10"),))
    assert given.contacts() == []


def test_one_bad_contact_fails_all(given: Given) -> None:
    result = given.register(f"{CONTACT}, <sip:dev1@198.51.100.8>;expires=3")
    assert result.status == 423
    assert given.contacts() == []


def test_a_refresh_changes_the_expiry_and_keeps_the_start(given: Given) -> None:
    given.register()
    given.now += 100
    result = given.register(cseq=2)
    assert (len(result.added), len(result.changed), len(result.removed)) == (0, 1, 0)
    assert result.changed[0].registered_at == 1_000.0
    assert result.changed[0].expires_at == 1_400.0


def test_equal_uris_in_another_spelling_are_one_binding(given: Given) -> None:
    given.register("<sip:dev1@PHONE.example.com:5062;transport=UDP>")
    given.register("<sip:dev1@phone.example.com:5062;transport=udp>", cseq=2)
    assert given.contacts() == ["sip:dev1@phone.example.com:5062;transport=udp"]


def test_a_request_that_was_overtaken_changes_nothing(given: Given) -> None:
    given.register(cseq=5)
    assert given.register(f"{CONTACT};expires=0", cseq=5).status == 500
    assert given.register("*", cseq=4, extra="Expires: 0").status == 500
    assert len(given.contacts()) == 1
    assert (
        given.register(f"{CONTACT};expires=0", cseq=1, call_id="after reboot".replace(" ", "-")).status == 200
    )
    assert given.contacts() == []


def test_star_removes_all_only_with_expires_zero(given: Given) -> None:
    given.register()
    given.register("<sip:dev1@198.51.100.9>", call_id="c2")
    assert given.register("*", cseq=2).status == 400
    assert given.register("*", cseq=2, extra="Expires: 60").status == 400
    assert len(given.contacts()) == 2
    result = given.register("*", cseq=2, extra="Expires: 0")
    assert (result.status, len(result.removed), result.headers) == (200, 2, ())
    assert len(given.registrar) == 0


def test_without_contact_it_is_a_query(given: Given) -> None:
    given.register()
    given.now += 50
    result = given.register("", cseq=2)
    assert result.headers == (("Contact", "<sip:dev1@198.51.100.7:5062>;expires=250"),)
    assert result.added + result.changed + result.removed == ()


def test_the_best_q_then_the_newest_comes_first(given: Given) -> None:
    for number, q in ((1, "0.5"), (2, "0.5"), (3, "0.9"), (4, "nonsense"), (5, "7")):
        given.now += 1
        given.register(f"<sip:p{number}@198.51.100.7>;q={q}", call_id=f"c{number}")
    assert [contact[4:6] for contact in given.contacts()] == ["p5", "p4", "p3", "p2", "p1"]


def test_the_same_instance_replaces_its_old_address(given: Given) -> None:
    instance = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
    given.register(f"<sip:dev1@198.51.100.7:5062>{instance}")
    result = given.register(f"<sip:dev1@198.51.100.7:6000>{instance}", call_id="c2")
    assert given.contacts() == ["sip:dev1@198.51.100.7:6000"]
    assert (len(result.added), len(result.changed), len(result.removed)) == (0, 1, 0)
    assert result.headers[0][1].endswith(instance)
    given.register(f"<sip:dev1@198.51.100.7:7000>{instance};reg-id=2", call_id="c3")
    assert len(given.contacts()) == 2


def test_a_further_contact_replaces_the_oldest(given: Given) -> None:
    for number in range(MAX_CONTACTS + 1):
        given.now += 1
        result = given.register(f"<sip:p{number}@198.51.100.7>", call_id=f"c{number}")
    assert len(given.contacts()) == MAX_CONTACTS == len(given.registrar)
    assert [binding.contact for binding in result.removed] == ["sip:p0@198.51.100.7"]


def test_too_many_contacts_at_once_are_refused(given: Given) -> None:
    many = ", ".join(f"<sip:p{number}@198.51.100.7>" for number in range(MAX_CONTACTS + 1))
    assert given.register(many).status == 403
    assert given.contacts() == []


@pytest.mark.parametrize(
    ("contact", "flow_id"),
    [
        ("<sip:dev1@198.51.100.7:5062>", ""),
        ("<sip:dev1@198.51.100.7>", ""),
        ("<sip:dev1@10.0.0.5:5060>", "udp:198.51.100.7:5062"),
        ("<sip:dev1@df7jal23ls0d.invalid>", "udp:198.51.100.7:5062"),
    ],
)
def test_a_phone_behind_nat_is_reached_where_it_came_from(given: Given, contact: str, flow_id: str) -> None:
    assert given.register(contact).added[0].flow_id == flow_id


def test_behind_a_proxy_the_path_leads_to_it(given: Given) -> None:
    path = "Path: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>"
    result = given.register("<sip:dev1@10.0.0.5:5060>", extra=path)
    assert result.added[0].path == ("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>")
    assert result.added[0].flow_id == ""
    assert ("Path", "<sip:p2.example.com;lr>") in result.headers


def test_a_lost_connection_takes_its_bindings_with_it(given: Given) -> None:
    stream = Flow("tcp", ("192.0.2.1", 5060), ("198.51.100.7", 40001), "tcp-9")
    given.register("<sip:dev1@10.0.0.5:5060;transport=tcp>", source=stream)
    given.register("<sip:dev2@10.0.0.5:5060;transport=tcp>", source=stream, aor="sip:dev2@acme.example.com")
    given.register("<sip:dev1@198.51.100.7:5062>", call_id="c2")
    assert {binding.aor for binding in given.registrar.flow_lost("tcp-9")} == {
        AOR,
        "sip:dev2@acme.example.com",
    }
    assert given.contacts() == ["sip:dev1@198.51.100.7:5062"]
    assert given.registrar.flow_lost("tcp-9") == []


def test_what_has_expired_is_hidden_at_once_and_forgotten_on_request(given: Given) -> None:
    given.register(f"{CONTACT};expires=60")
    given.register("<sip:dev1@198.51.100.9>;expires=600", call_id="c2")
    given.now += 60
    assert given.contacts() == ["sip:dev1@198.51.100.9"]
    assert [binding.contact for binding in given.registrar.expire(given.now)] == [
        "sip:dev1@198.51.100.7:5062"
    ]
    assert len(given.registrar) == 1 == len(given.registrar.all())
    given.register("<sip:dev1@198.51.100.9>;expires=600", call_id="c2", cseq=2)
    assert given.registrar.next_expiry() == 1_600.0
    assert given.registrar.expire(1_600.0) == []
    assert given.registrar.next_expiry() == 1_660.0
    assert len(given.registrar.expire(1_660.0)) == 1
    assert given.registrar.next_expiry() is None


def test_remove_forgets_an_address_of_record(given: Given) -> None:
    given.register()
    assert len(given.registrar.remove(AOR)) == 1
    assert given.registrar.remove(AOR) == []


@pytest.mark.parametrize("contact", ["<tel:+15551234567>", "<sip:dev1@>", "<sip:a@b", "*, <sip:a@b>"])
def test_a_contact_that_cannot_be_rung_is_refused(given: Given, contact: str) -> None:
    assert given.register(contact).status in (400, 416)
    assert given.contacts() == []


def test_of_a_phone_that_moved_a_restart_takes_back_the_last_contact_only(given: Given) -> None:
    instance = ';+sip.instance="<urn:uuid:1>"'
    before = given.register(CONTACT + instance).added[0]
    given.now += 10
    after = given.register("<sip:dev1@198.51.100.9:5062>" + instance, cseq=2).changed[0]
    again = Registrar()
    again.restore([after, before])
    assert [binding.contact for binding in again.bindings(AOR, given.now)] == [after.contact]
    assert len(again) == 1


INSTANCE = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
BROWSER = Flow("wss", ("192.0.2.1", 443), ("198.51.100.7", 50_001), "wss-1")


def test_a_phone_with_a_connection_of_its_own_is_told_how_often_to_ping(given: Given) -> None:
    contact = f"<sip:x@q1w2.invalid;transport=ws>{INSTANCE};reg-id=1"
    result = given.register(contact, source=BROWSER, extra="Supported: path, Outbound")
    assert ("Require", "outbound") in result.headers
    assert ("Flow-Timer", "120") in result.headers
    assert result.added[0].flow_id == "wss-1"


@pytest.mark.parametrize(
    ("contact", "source", "extra"),
    [
        (f"<sip:x@q1w2.invalid>{INSTANCE};reg-id=1", BROWSER, "Supported: path"),
        (f"<sip:x@q1w2.invalid>{INSTANCE}", BROWSER, "Supported: outbound"),
        (f"{CONTACT}{INSTANCE};reg-id=1", PHONE, "Supported: outbound"),
        (f"{CONTACT}{INSTANCE};reg-id=1", BROWSER, "Supported: outbound\r\nPath: <sip:edge.example.com;lr>"),
    ],
)
def test_others_are_not(given: Given, contact: str, source: Flow, extra: str) -> None:
    names = {name for name, _ in given.register(contact, source=source, extra=extra).headers}
    assert not names & {"Require", "Flow-Timer"}


def test_two_flows_of_one_phone_are_one_way_to_it(given: Given) -> None:
    other = Flow("tls", ("192.0.2.1", 5061), ("198.51.100.7", 50_002), "tls-2")
    given.register(f"<sip:x@a.invalid>{INSTANCE};reg-id=1", source=BROWSER)
    given.now += 10
    given.register(f"<sip:x@b.invalid>{INSTANCE};reg-id=2", source=other, call_id="c2")
    given.register("<sip:desk@198.51.100.8>", call_id="c3")
    assert len(given.contacts()) == 3
    ways = [binding.contact for binding in given.registrar.ways(AOR, given.now)]
    assert sorted(ways) == ["sip:desk@198.51.100.8", "sip:x@b.invalid"]
    given.registrar.flow_lost("tls-2")
    ways = [binding.contact for binding in given.registrar.ways(AOR, given.now)]
    assert sorted(ways) == ["sip:desk@198.51.100.8", "sip:x@a.invalid"]
