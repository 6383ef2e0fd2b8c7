"""Connect, quickcall, and what is kept of calls (kazoo-behaviour 5, 6, 8, 9). Nobody's phone rings."""

import time
from typing import Final

from offhook.client import Answer, Json

from .kit import OK, Kit, has

HISTORY_S: Final = 30.0
"""KAZOO writes history up to 20 s after the call."""

POLL_S: Final = 0.2

CHANNEL_ACTIONS: Final[dict[str, Json]] = {
    "hangup": {},
    "break": {},
    "transfer": {"target": "4200"},
    "callflow": {"id": "f" * 32},
    "intercept": {"target_type": "device", "target_id": "f" * 32},
}
"""KAZOO's actions on live channels, each with what it needs."""


def buttons(kit: Kit) -> None:
    """Press buttons whose extension has a device that never registers."""
    _given_extension(kit, "4200", "conform-silent")
    open_button = kit.create(
        "clicktocall",
        {
            "name": "Open",
            "extension": "4200",
            "auth_required": False,
            "timeout": 4,
            "whitelist": ["^\\+1415\\d{7}$"],
        },
    )
    shut = kit.create("clicktocall", {"name": "Shut", "extension": "4200"})
    path = f"{kit.base}/clicktocall/{open_button}/connect"
    pressed = kit.ask("GET", path, query={"contact": "+14158867900", "ticket": "42"})
    kit.expect("connect: GET", pressed, OK, wants="the originate request", holds=_is_originate)
    kit.expect(
        "connect: the contact is normalised",
        pressed,
        OK,
        holds=lambda a: a.data["application_data"]["route"] == "+14158867900",
    )
    kit.expect(
        "connect: query parameters become variables, tokens never",
        pressed,
        OK,
        holds=lambda a: (
            a.data["custom_application_vars"].get("ticket") == "42"
            and "auth_token" not in a.data["custom_application_vars"]
        ),
    )
    body = {"contact": "+14158867901", "custom_application_vars": {"ticket": "43"}}
    kit.expect(
        "connect: POST",
        kit.ask("POST", path, body),
        OK,
        wants="variables of the body",
        holds=lambda a: has(a.data["custom_application_vars"], {"ticket": "43"}),
    )
    blocking = kit.ask("POST", path, {"contact": "+14158867903", "blocking": True})
    kit.expect(
        "connect: blocking",
        blocking,
        OK,
        wants="a history item with result and cause",
        holds=lambda a: a.data["result"] == "error" and bool(a.data["cause"]),
    )
    _visitors(kit, path, shut)
    _history(kit, open_button)


def _visitors(kit: Kit, path: str, shut: str) -> None:
    """Press with contacts that are refused, and without a token."""
    kit.invalid("connect: no contact", kit.ask("GET", path), contact="required")
    refused = kit.ask("GET", path, query={"contact": "+442079460000"})
    kit.expect(
        "connect: a contact beside the whitelist",
        refused,
        400,
        wants="the contact in data",
        holds=lambda a: a.data == "+442079460000",
    )
    anonymous = kit.ask("GET", path, query={"contact": "+14158867902"}, token="")
    kit.expect("connect: without a token where the button allows it", anonymous, OK)
    closed = kit.ask("GET", f"{kit.base}/clicktocall/{shut}/connect", query={"contact": "1"}, token="")
    kit.fails("connect: without a token where it does not", closed, 401)
    kit.invalid(
        "clicktocall: a whitelist that is no regular expression",
        kit.ask("PUT", f"{kit.base}/clicktocall", {"name": "x", "extension": "1", "whitelist": ["("]}),
        whitelist__0="error",
    )


def _history(kit: Kit, button_id: str) -> None:
    path = f"{kit.base}/clicktocall/{button_id}/history"
    until = time.monotonic() + HISTORY_S
    answer = kit.ask("GET", path)
    while not _has_attempts(answer, 4) and time.monotonic() < until:
        time.sleep(POLL_S)
        answer = kit.ask("GET", path)
    kit.expect(
        "history",
        answer,
        200,
        wants="4 attempts, newest first, with result and cause",
        holds=lambda a: _has_attempts(a, 4),
    )
    kit.expect(
        "history: page",
        kit.ask("GET", path, query={"page_size": "1"}),
        200,
        wants="next_start_key",
        holds=lambda a: len(a.data) == 1 and a.envelope["next_start_key"],
    )
    wrong = kit.ask("GET", path, query={"created_from": "63876600000", "created_to": "63876500000"})
    kit.invalid("history: a range that ends before it begins", wrong, created_from="date_range")


def _has_attempts(answer: Answer, count: int) -> bool:
    items = answer.data if isinstance(answer.data, list) else []
    over = [item for item in items if item.get("result") == "error" and item.get("cause") and item.get("id")]
    times = [item.get("timestamp", 0) for item in items]
    return len(over) == count and times == sorted(times, reverse=True)


def quickcalls(kit: Kit) -> None:
    """Dial from a device and from a user that have no registered phone."""
    device = kit.create("devices", {"name": "Quick", "sip": {"username": "conform-quick"}})
    path = f"{kit.base}/devices/{device}/quickcall/%2B14158867900"
    dialled = kit.ask("GET", path, query={"cid-name": "Kit", "timeout": "4"})
    kit.expect("quickcall: GET of a device", dialled, OK, wants="the originate request", holds=_is_originate)
    kit.expect(
        "quickcall: cid-name is what the far end sees",
        dialled,
        OK,
        holds=lambda a: a.data["outbound_callee_id_name"] == "Kit",
    )
    kit.expect(
        "quickcall: the device's endpoint",
        dialled,
        OK,
        wants="endpoint_id, to_username, to_realm",
        holds=lambda a: has(a.data["endpoints"][0], {"endpoint_id": device, "to_username": "conform-quick"}),
    )
    posted = kit.ask("POST", path, query={"timeout": "4"})
    kit.fails("quickcall: POST when nobody answers", posted, 500, word="quickcall")
    user = kit.create("users", {"first_name": "Quick", "last_name": "Call"})
    kit.create("devices", {"name": "Owned", "owner_id": user, "sip": {"username": "conform-owned"}})
    of_user = kit.ask("GET", f"{kit.base}/users/{user}/quickcall/4200", query={"timeout": "4"})
    kit.expect(
        "quickcall: GET of a user",
        of_user,
        OK,
        wants="authorizing_type user",
        holds=lambda a: a.data["custom_channel_vars"]["authorizing_id"] == user,
    )
    kit.fails(
        "quickcall: a device nobody has",
        kit.ask("GET", f"{kit.base}/devices/{'f' * 32}/quickcall/1"),
        404,
        word="bad_identifier",
    )
    kit.fails("quickcall: without a token", kit.ask("GET", path, token=""), 401)
    kit.fails("quickcall: other methods", kit.ask("DELETE", path), 405)


def records(kit: Kit) -> None:
    """CDRs: lists, one leg, sums, CSV."""
    path = f"{kit.base}/cdrs"
    until = time.monotonic() + HISTORY_S
    answer = kit.ask("GET", path)
    while not answer.data and time.monotonic() < until:
        time.sleep(POLL_S)
        answer = kit.ask("GET", path)
    kit.expect(
        "cdrs: list",
        answer,
        200,
        wants="legs with id, call_id, hangup_cause, timestamp",
        holds=lambda a: {"id", "call_id", "hangup_cause", "timestamp"} <= a.data[0].keys(),
    )
    row: Json = answer.data[0] if isinstance(answer.data, list) and answer.data else {}
    kit.expect(
        "cdrs: one",
        kit.ask("GET", f"{path}/{row.get('id', 'x')}"),
        200,
        wants="the full document",
        holds=lambda a: a.data["call_id"] == row["call_id"],
    )
    kit.expect(
        "cdrs: legs of an interaction",
        kit.ask("GET", f"{path}/legs/{row.get('id', 'x')}"),
        200,
        wants="a list with the leg",
        holds=lambda a: row["call_id"] in [i["call_id"] for i in a.data],
    )
    kit.expect(
        "cdrs: interaction",
        kit.ask("GET", f"{path}/interaction"),
        200,
        wants="a list",
        holds=lambda a: len(a.data) > 0,
    )
    _cdr_forms(kit, path)
    kit.fails("cdrs: an id nobody has", kit.ask("GET", f"{path}/202403-nobody"), 404)


def _cdr_forms(kit: Kit, path: str) -> None:
    kit.expect(
        "cdrs: in chunks unless told otherwise",
        kit.ask("GET", path),
        200,
        wants="data first, no Content-Length",
        holds=lambda a: a.body.startswith(b'{"data":[') and "content-length" not in a.headers,
    )
    kit.expect(
        "cdrs: summary",
        kit.ask("GET", f"{path}/summary"),
        200,
        wants="an object",
        holds=lambda a: isinstance(a.data, dict),
    )
    kit.expect(
        "cdrs: CSV",
        kit.ask("GET", path, headers={"accept": "text/csv"}),
        200,
        wants="a header row",
        holds=lambda a: a.body.startswith(b"id,call_id,caller_id_number"),
    )
    kit.expect(
        "cdrs: filter",
        kit.ask("GET", path, query={"filter_call_id": "nobody"}),
        200,
        holds=lambda a: a.data == [],
    )


def live(kit: Kit) -> None:
    """Channels and registrations, of which there are none."""
    kit.expect(
        "channels: list",
        kit.ask("GET", f"{kit.base}/channels"),
        200,
        wants="a list",
        holds=lambda a: isinstance(a.data, list),
    )
    kit.fails(
        "channels: a call nobody has", kit.ask("GET", f"{kit.base}/channels/nobody"), 404, word="nobody"
    )
    _channel_actions(kit)
    kit.expect(
        "registrations",
        kit.ask("GET", f"{kit.base}/registrations"),
        200,
        wants="an empty list",
        holds=lambda a: a.data == [],
    )
    kit.expect(
        "registrations: count",
        kit.ask("GET", f"{kit.base}/registrations/count"),
        200,
        wants="count",
        holds=lambda a: a.data["count"] == 0,
    )
    kit.expect(
        "devices: status",
        kit.ask("GET", f"{kit.base}/devices/status"),
        200,
        wants="nobody is registered",
        holds=lambda a: a.data == [],
    )


def _channel_actions(kit: Kit) -> None:
    """Every action that KAZOO documents is known: what is refused is the channel, which nobody has."""
    path = f"{kit.base}/channels/nobody"
    for action, values in CHANNEL_ACTIONS.items():
        answer = kit.ask("POST", path, {"action": action, **values})
        kit.fails(f"channels: {action} of a call nobody has", answer, 404, word="nobody")
    flow = {"module": "hangup", "data": {}, "children": {}}
    answer = kit.ask("PUT", path, {"action": "metaflow", "data": flow})
    kit.fails("channels: a metaflow for a call nobody has", answer, 404, word="nobody")


def _given_extension(kit: Kit, number: str, username: str) -> None:
    device = kit.create("devices", {"name": username, "sip": {"username": username}})
    flow = {"module": "device", "data": {"id": device, "timeout": 4}, "children": {}}
    kit.create("callflows", {"numbers": [number], "flow": flow})


def _is_originate(answer: Answer) -> bool:
    data = answer.data
    wanted: set[str] = {"application_name", "application_data", "custom_channel_vars", "endpoints", "timeout"}
    return wanted <= set(data) and bool(data["application_name"] == "transfer")
