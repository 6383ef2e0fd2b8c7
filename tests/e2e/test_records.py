"""What is told before a call (dry run), once per click (Idempotency-Key), and after it (capture file)."""

import re
import shutil
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import FarEnd
from .harness import Account
from .harness.far_ends import REINVITED
from .test_options import Pair, caller, field

pytestmark = pytest.mark.needs("sipp")

Json = dict[str, Any]

# --- dry run ------------------------------------------------------------------------------------------

PLANS: dict[str, tuple[Json, dict[str, str]]] = {
    "as it comes": ({}, {}),
    "contact first": ({"dial_first": "contact"}, {}),
    "caller ids and headers": (
        {
            "caller_id_number": "+15550000001",
            "outbound_callee_id_name": "Acme Sales",
            "custom_sip_headers": {"X-Order": "5 of 7"},
            "timeout": 12,
        },
        {},
    ),
    "no auto answer": ({}, {"auto_answer": "false"}),
    "past the relay": ({"bypass_media": True}, {}),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_of_a_dry_run_is_what_the_phones_are_sent(
    far_end: FarEnd, account: Account, name: str
) -> None:
    button, query = PLANS[name]
    bypasses = bool(button.get("bypass_media"))
    pair = Pair(far_end, account)
    if bypasses:
        pair.first.stop()
        pair.first = far_end(REINVITED)
        sip = {
            "username": "phone1001",
            "password": "never-used",
            "invite_format": "route",
            "route": pair.first.uri,
        }
        account.client.request("PATCH", account.path("devices", pair.first_id), {"sip": sip}).expect(200)
    button_id = account.create_button("1001", **button)
    path = account.path("clicktocall", button_id, "connect")
    wanted = {"contact": "1002", **query}
    plan = account.client.request("GET", path, query={**wanted, "dry_run": "true"}).expect(200).data
    assert pair.first.received() == pair.second.received() == []
    assert account.get("clicktocall", button_id, "history") == []

    call_id = account.connect(button_id, **wanted)
    extension, contact = pair.invites(call_id)
    invites = {"extension": extension, "contact": contact}
    for party in (plan["first"], plan["second"]):
        [step] = party["steps"]
        [endpoint] = step["endpoints"]
        assert_sent_as_planned(endpoint, invites[party["side"]])
    first = invites[plan["first"]["side"]]
    assert field(first, "Call-ID") == call_id
    second = invites[plan["second"]["side"]]
    assert (plan["media"], "m=audio" in second) == (("bypass", False) if bypasses else ("process", True))


def assert_sent_as_planned(endpoint: Json, invite: str) -> None:
    """Compare everything a plan says of a leg with the INVITE of that leg."""
    assert invite.splitlines()[0] == f"INVITE {endpoint['request_uri']} SIP/2.0"
    assert f"<{endpoint['to_uri']}>" in (field(invite, "To") or "")
    assert f"<{endpoint['from_uri']}>" in (field(invite, "From") or "")
    assert caller(invite) == (endpoint["caller_id_name"], endpoint["caller_id_number"])
    for header, value in endpoint["headers"]:
        assert field(invite, header) == value, header
    planned = {header.lower() for header, _ in endpoint["headers"]}
    for header in ("Call-Info", "Alert-Info", "X-Order", "Privacy", "P-Asserted-Identity", "Route"):
        assert (field(invite, header) is not None) == (header.lower() in planned), header
    payloads = {"PCMU": "0", "PCMA": "8"}
    offered = re.search(r"m=audio \d+ RTP/AVP ([\d ]+)", invite)
    if offered is not None:
        chosen = [payload for payload in offered[1].split() if payload in payloads.values()]
        wanted = [payloads[name] for name in endpoint["codecs"] or payloads]
        assert chosen  # of the second party: in the codec that the first has taken
        assert chosen == [payload for payload in wanted if payload in chosen]


def test_a_quickcalls_dry_run_too(far_end: FarEnd, account: Account) -> None:
    pair = Pair(far_end, account)
    options = {"cid-name": "Jane", "cid-number": "+15550000003", "timeout": "9"}
    plan = account.quickcall(pair.first_id, "1002", dry_run="true", **options).expect(200).data
    assert pair.first.received() == []
    extension, contact = pair.invites(pair.quickcall(**options))
    assert_sent_as_planned(plan["first"]["steps"][0]["endpoints"][0], extension)
    assert_sent_as_planned(plan["second"]["steps"][0]["endpoints"][0], contact)


# --- one click, one call ------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [False, True])
def test_twenty_clicks_at_once_ring_the_phone_once(far_end: FarEnd, account: Account, waits: bool) -> None:
    pair = Pair(far_end, account)
    path = account.path("clicktocall", account.create_button("1001"), "connect")
    data = {"contact": "1002", "blocking": waits}

    def click(_: int) -> tuple[int, str, bool]:
        answer = account.client.request("POST", path, data, headers={"Idempotency-Key": "click-1"})
        replayed = answer.headers.get("idempotent-replayed") == "true"
        return answer.status, answer.data.get("call_id", ""), replayed

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(click, range(20)))
    accepted = [answer for answer in answers if answer[0] != 409]
    assert {status for status, _, _ in accepted} == {200 if waits else 202}
    assert [replayed for _, _, replayed in accepted].count(False) == 1
    [call_id] = {call_id for _, call_id, _ in accepted}
    assert waits or len(accepted) == 20
    account.wait_for_time(call_id, "bridged")
    status, again, replayed = click(0)
    assert (status, again, replayed) == (accepted[0][0], call_id, True)
    account.hang_up(call_id)
    account.wait_for_outcome(call_id)
    for phone in (pair.first, pair.second):
        phone.assert_clean()
        assert len(phone.received("INVITE")) == 1


# --- the capture file ---------------------------------------------------------------------------------


@pytest.mark.needs("tshark")
def test_tshark_reads_what_was_said(far_end: FarEnd, account: Account, tmp_path: Path) -> None:
    pair = Pair(far_end, account)
    call_id = pair.connect()
    pair.invites(call_id)
    steps = account.get("calls", call_id, "timeline")
    told = [(step["direction"], step["message"].partition(" ")[0]) for step in steps if step["what"] == "sip"]
    assert [step["event"] for step in steps if step["what"] == "media"]
    file = tmp_path / "call.pcap"
    file.write_bytes(downloaded(account, account.path("calls", call_id, "timeline") + "?format=pcap"))
    ports = {pair.first.port, pair.second.port}
    tshark = shutil.which("tshark")
    assert tshark is not None
    command = [
        tshark,
        "-r",
        str(file),
        "-T",
        "fields",
        "-e",
        "udp.dstport",
        "-e",
        "sip.Method",
        "-e",
        "sip.Status-Code",
    ]
    for port in ports:
        command += ["-d", f"udp.port=={port},sip"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    read = [line.split("\t") for line in done.stdout.splitlines()]
    assert [
        ("out" if int(port) in ports else "in", method or status) for port, method, status in read
    ] == told
    assert told.count(("out", "INVITE")) == 2
    assert told.count(("out", "BYE")) == 2
    assert len(told) >= 12


def downloaded(account: Account, path: str) -> bytes:
    client = account.client
    request = urllib.request.Request(
        f"http://{client.host}:{client.port}{path}", headers={"x-auth-token": client.token}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())
