"""Quickcalls, calls, channels, CDRs over HTTP (kazoo-behaviour 6, 8, 9; design 2.2)."""

import asyncio
import csv
import io
import re
from datetime import datetime

import pytest

from offhook.api import cdr_rows
from offhook.api.endpoints import cdrs
from offhook.app.ports import TraceLine
from offhook.stores.sqlite import lists_by_time

from .node import ADDRESS, ApiNode, TestAccount, settle

KAZOO_COLUMNS = """
id, call_id, caller_id_number, caller_id_name, callee_id_number, callee_id_name, duration_seconds,
billing_seconds, timestamp, hangup_cause, other_leg_call_id, owner_id, to, from, direction, request,
authorizing_id, cost, dialed_number, calling_from, datetime, unix_timestamp, unix_timestamp_micro, rfc_1036,
iso_8601, iso_8601_combined, call_type, rate, rate_name, bridge_id, recording_url, media_recordings,
media_server, call_priority, interaction_id
"""


def test_quickcall_answers_202_as_documented(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    acme.given_phone("dev2", "1002")
    answer = node.get(f"{acme.base}/devices/{device}/quickcall/1002?order=7")
    assert answer.status == 202
    data = answer.data
    assert data["application_data"] == {"route": "1002"}
    assert data["outbound_caller_id_name"] == "Device QuickCall"
    assert data["custom_application_vars"] == {"order": "7"}
    assert data["custom_channel_vars"]["authorizing_id"] == device
    assert data["endpoints"][0]["to_user"] == "dev1"
    assert data["endpoints"][0]["custom_sip_headers"]["x_kazoo_aor"] == f"sip:dev1@{acme.realm}"
    assert data["call_id"].endswith("-quickcall")
    assert answer.headers["location"] == f"{acme.base}/calls/{data['call_id']}"
    assert answer.json["revision"] == node.get(f"{acme.base}/devices/{device}").json["revision"]


def test_quickcall_of_a_user_rings_all_devices(node: ApiNode, acme: TestAccount) -> None:
    user = acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    for name in ("dev1", "dev2"):
        acme.created("devices", {"name": name, "owner_id": user, "sip": {"username": name}})
        node.registered.add(name, acme.realm)
    answer = node.get(f"{acme.base}/users/{user}/quickcall/%2B14158867900")
    assert answer.status == 202
    assert sorted(endpoint["to_user"] for endpoint in answer.data["endpoints"]) == ["dev1", "dev2"]
    assert answer.data["application_data"] == {"route": "+14158867900"}
    assert node.get(f"{acme.base}/users/{user}/quickcall/+14158867900").data["application_data"] == {
        "route": "+14158867900"
    }


def test_quickcall_post_waits_for_the_device(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    acme.given_phone("dev2", "1002")
    answer = node.post(f"{acme.base}/devices/{device}/quickcall/1002", {"cid-name": "Jane"})
    assert answer.status == 202
    assert answer.data["application_response"] == "SUCCESS"
    assert answer.data["call_id"]
    assert answer.data["outbound_callee_id_name"] == "Jane"


def test_failed_quickcall_never_shows_the_device(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    answer = node.post(f"{acme.base}/devices/{device}/quickcall/1002")
    assert answer.status == 500
    assert answer.json["message"] == "quickcall initiation failed"
    assert answer.json["error"] == "500"
    assert answer.data["error_message"] == "USER_BUSY"
    assert answer.data["request"]["application_data"] == {"route": "1002"}
    assert answer.data["request"]["msg_id"] == answer.json["request_id"]
    password = node.get(f"{acme.base}/devices/{device}").data["sip"]["password"]
    assert password.encode() not in answer.body


def test_quickcall_to_nobody_registered(node: ApiNode, acme: TestAccount) -> None:
    device = acme.created("devices", {"name": "Desk", "sip": {"username": "dev1"}})
    path = f"{acme.base}/devices/{device}/quickcall/1002"
    assert node.get(path).status == 202
    answer = node.post(path)
    assert answer.status == 500
    assert answer.data["error_message"]


def test_quickcall_of_unknown_and_by_visitors(node: ApiNode, acme: TestAccount) -> None:
    user = acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    device = acme.created("devices", {"name": "Desk"})
    stranger = node.given_account("B").token()
    opened = acme.created("devices", {"name": "Hall", "allow_anonymous_quickcalls": True})
    assert node.get(f"{acme.base}/devices/{user}/quickcall/1002").status == 404
    assert node.get(f"{acme.base}/users/{device}/quickcall/1002").status == 404
    assert node.get(f"{acme.base}/devices/{device}/quickcall/1002", token="").status == 401
    assert node.get(f"{acme.base}/devices/{'f' * 32}/quickcall/1002", token="").status == 401
    assert node.get(f"{acme.base}/devices/{device}/quickcall/1002", token=stranger).status == 403
    visited = node.get(f"{acme.base}/devices/{opened}/quickcall/1002", token="")
    assert visited.status == 202
    assert acme.realm.encode() not in visited.body
    assert node.put(f"{acme.base}/devices/{device}/quickcall/1002").status == 405


def test_bad_quickcall_options(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    path = f"{acme.base}/devices/{device}/quickcall/1002"
    for query, field in (("timeout=soon", "timeout"), ("number_filter=(a%2B", "number_filter"),
                         ("media=telepathy", "media"), ("auto_answer=perhaps", "auto_answer"),
                         ("target_call_id=none", "target_call_id")):  # fmt: skip
        answer = node.get(f"{path}?{query}")
        assert answer.status == 400, query
        assert answer.json["message"] == "validation error"
        assert field in answer.data


def test_visitors_quickcalls_are_throttled(node: ApiNode, acme: TestAccount) -> None:
    device = acme.created("devices", {"name": "Hall", "allow_anonymous_quickcalls": True})
    path = f"{acme.base}/devices/{device}/quickcall/1002"
    assert [node.get(path, token="").status for _ in range(11)] == [202] * 10 + [429]
    assert node.get(path).status == 202


# --- calls ------------------------------------------------------------------------------------------


def given_joined_call(node: ApiNode, acme: TestAccount, **button: object) -> str:
    acme.given_two_phones()
    id = acme.given_button(**button)
    answer = node.get(f"{acme.base}/clicktocall/{id}/connect?contact=1002&order=77")
    settle(node)
    return str(answer.data["call_id"])


def test_call_is_followed_and_ended(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    path = f"{acme.base}/calls/{call_id}"
    live = node.get(path).data
    assert live["state"] == "bridged"
    assert live["call_id"] == call_id
    assert "outcome" not in live
    assert [party["number"] for party in live["parties"]] == ["1001", "1002"]
    assert [(leg["party"], leg["side"], leg["state"]) for leg in live["legs"]] == [
        ("first", "extension", "joined"), ("second", "contact", "joined"),
    ]  # fmt: skip
    assert list(live["times"]) == [
        "accepted", "first_ringing", "first_answered", "second_ringing", "bridged",
    ]  # fmt: skip
    assert node.delete(path).status == 200
    settle(node)
    over = node.get(path).data
    assert (over["state"], over["outcome"], over["by"]) == ("ended", "connected", "api")
    assert "ended" in over["times"]
    assert node.delete(path).data["outcome"] == "connected"  # over stays over
    history = node.get(f"{acme.base}/clicktocall/{over['authorizing_id']}/history").data[0]
    for key in ("outcome", "party", "side", "by", "hangup_cause", "sip_code", "sip_reason", "times"):
        assert history[key] == over[key], key


def test_call_ended_while_ringing(node: ApiNode, acme: TestAccount) -> None:
    node.phones.silent.add("dev1")
    call_id = given_joined_call(node, acme)
    assert node.get(f"{acme.base}/calls/{call_id}").data["state"] == "ringing_first"
    node.delete(f"{acme.base}/calls/{call_id}")
    settle(node)
    assert node.get(f"{acme.base}/calls/{call_id}").data["outcome"] == "canceled"


def test_no_outcome_is_told_before_every_leg_is_over(node: ApiNode, acme: TestAccount) -> None:
    node.phones.stubborn = True
    call_id = given_joined_call(node, acme)
    ending = node.delete(f"{acme.base}/calls/{call_id}").data
    assert ending["state"] == "ending"
    assert "outcome" not in ending
    history = node.get(f"{acme.base}/clicktocall/{ending['authorizing_id']}/history").data[0]
    assert history["state"] == "ending"
    assert "result" not in history


def test_unknown_and_foreign_calls(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    other = node.given_account("Other")
    for path in (f"{acme.base}/calls/none", f"{other.base}/calls/{call_id}",
                 f"{other.base}/calls/{call_id}/timeline"):  # fmt: skip
        answer = node.get(path)
        assert answer.status == 404
        assert answer.json["message"] == "bad_identifier"
    assert node.delete(f"{other.base}/calls/{call_id}").status == 404
    assert node.get(f"{acme.base}/calls/{call_id}").data["state"] == "bridged"


def test_timeline_as_json_and_text(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    steps = node.get(f"{acme.base}/calls/{call_id}/timeline").data
    whats = [step["what"] for step in steps]
    assert whats[:5] == ["request", "decision", "decision", "decision", "accepted"]
    request, first, second, media, _ = steps[:5]
    assert (request["method"], request["address"], request["caller"]) == ("GET", ADDRESS, "api")
    assert request["path"].endswith("/connect")
    assert (first["party"], first["number"], first["endpoints"]) == ("first", "1001", 1)
    assert first["route"]
    assert (second["side"], second["number"], media["media"]) == ("contact", "1002", "process")
    assert whats.index("leg_ringing") < whats.index("leg_answered") < whats.index("bridged")
    text = node.get(f"{acme.base}/calls/{call_id}/timeline?format=text")
    assert text.headers["content-type"].startswith("text/plain")
    assert "1001 (extension)" in text.body.decode()
    assert "asked: GET /v2/" in text.body.decode()
    assert node.get(f"{acme.base}/calls/{call_id}/timeline?format=xml").status == 400


def test_timeline_as_capture_file(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    first = TraceLine(
        2.0, True, "INVITE", "udp", data=b"INVITE sip:x SIP/2.0\r\n\r\n", remote=("10.0.0.5", 1)
    )
    second = TraceLine(1.0, False, "BYE", "udp", data=b"BYE sip:x SIP/2.0\r\n\r\n", remote=("10.0.0.6", 2))
    node.phones.traces = {call_id: [first], node.phones.dialed[1].endpoint.leg_id: [second]}
    answer = node.get(f"{acme.base}/calls/{call_id}/timeline?format=pcap")
    assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
    assert answer.headers["content-disposition"] == f'attachment; filename="{call_id}.pcap"'
    assert answer.body.index(b"BYE sip:x") < answer.body.index(b"INVITE sip:x")
    assert node.get(f"{acme.base}/calls/none/timeline?format=pcap").status == 404


# --- channels ---------------------------------------------------------------------------------------


def test_channels(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    listed = node.get(f"{acme.base}/channels").data
    assert len(listed) == 2
    first, second = listed
    assert first["uuid"] == call_id
    assert (first["other_leg"], second["other_leg"]) == (second["uuid"], first["uuid"])
    assert first["answered"] is True
    assert first["destination"] == "1001"
    assert first["authorizing_type"] == "clicktocall"
    assert first["username"] == "dev1"
    assert first["custom_application_vars"] == {"contact": "1002", "order": "77"}
    one = node.get(f"{acme.base}/channels/{second['uuid']}").data
    assert one["call_id"] == second["uuid"]
    assert one["other_leg_call_id"] == call_id
    assert one["call_direction"] == "outbound"
    unknown = node.get(f"{acme.base}/channels/none")
    assert (unknown.status, unknown.json["message"], unknown.data) == (404, "bad identifier", ["none"])
    device = node.get(f"{acme.base}/devices").data[1]["id"]
    assert [c["uuid"] for c in node.get(f"{acme.base}/devices/{device}/channels").data] == [second["uuid"]]
    other = node.given_account("Other")
    assert node.get(f"{other.base}/channels").data == []
    node.delete(f"{acme.base}/calls/{call_id}")
    settle(node)
    assert node.get(f"{acme.base}/channels").data == []


# --- CDRs -------------------------------------------------------------------------------------------


def test_utc_offset_shifts_datetime_alone(node: ApiNode, acme: TestAccount) -> None:
    node.delete(f"{acme.base}/calls/{given_joined_call(node, acme)}")
    settle(node)
    [row, _] = node.get(f"{acme.base}/cdrs").data
    [shifted, _] = node.get(f"{acme.base}/cdrs?utc_offset=3600").data
    changed = {name for name in row if row[name] != shifted[name]}
    assert changed == {"datetime"}
    between = datetime.fromisoformat(shifted["datetime"]) - datetime.fromisoformat(row["datetime"])
    assert between.total_seconds() == 3_600
    assert node.get(f"{acme.base}/cdrs?utc_offset=x").status == 400


def test_cdrs_per_leg_and_per_interaction(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    node.delete(f"{acme.base}/calls/{call_id}")
    settle(node)
    rows = node.get(f"{acme.base}/cdrs").json
    assert rows["page_size"] == 2
    row = next(row for row in rows["data"] if row["call_id"] == call_id)
    assert row["id"].endswith(call_id)
    assert row["hangup_cause"] == "NORMAL_CLEARING"
    assert row["outcome"] == "connected"
    assert isinstance(row["timestamp"], str)
    assert row["owner_id"] == ""
    assert len(node.get(f"{acme.base}/cdrs/interaction").data) == 1
    full = node.get(f"{acme.base}/cdrs/{row['id']}").data
    assert full["custom_application_vars"] == {"contact": "1002", "order": "77"}
    assert len(node.get(f"{acme.base}/cdrs/legs/{row['id']}").data) == 2
    assert len(node.get(f"{acme.base}/cdrs/legs/{row['interaction_id']}").data) == 2
    missing = node.get(f"{acme.base}/cdrs/202401-none")
    assert (missing.status, missing.json["message"]) == (404, "could not find cdr with supplied id")
    found = node.get(f"{acme.base}/cdrs?filter_custom_application_vars.order=77&page_size=1").json
    assert len(found["data"]) == 1
    assert found["next_start_key"]
    assert node.get(f"{acme.base}/cdrs?filter_custom_application_vars.order=78").data == []


def test_cdrs_as_csv_are_quoted(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme, name='Sales, "north"')
    node.delete(f"{acme.base}/calls/{call_id}")
    settle(node)
    answer = node.get(f"{acme.base}/cdrs", headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv"
    header, *rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
    assert header[:4] == ["id", "call_id", "caller_id_number", "caller_id_name"]
    assert len(rows) == 2
    assert all(len(row) == len(header) for row in rows)
    assert 'Sales, "north"' in {row[3] for row in rows}
    assert b"\r\n" in answer.body
    empty = node.get(f"{node.given_account('B').base}/cdrs?accept=csv")
    assert (empty.status, empty.body) == (204, b"")


def test_bad_ranges_and_pages(node: ApiNode, acme: TestAccount) -> None:
    for query, field in (("page_size=0", "page_size"), ("page_size=x", "page_size"),
                         ("start_key=nonsense", "start_key"), ("created_from=x", "created_from"),
                         ("created_from=63876600000&created_to=63876500000", "created_from"),
                         ("created_from=1&created_to=63876500000", "created_from"),
                         ("utc_offset=x", "utc_offset")):  # fmt: skip
        answer = node.get(f"{acme.base}/cdrs?{query}")
        assert answer.status == 400, query
        assert answer.json["message"] == "validation error"
        assert field in answer.data
    assert "date_range" in node.get(f"{acme.base}/cdrs?created_from=9&created_to=1").data["created_from"]


def test_cdr_columns_stand_in_kazoos_order(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    node.delete(f"{acme.base}/calls/{call_id}")
    settle(node)
    columns = [*cdr_rows.COLUMNS, "outcome", "party", "side", "by", "sip_code", "sip_reason"]
    assert columns[:35] == re.findall(r"[a-z_0-9]+", KAZOO_COLUMNS)
    row = node.get(f"{acme.base}/cdrs").data[0]
    assert list(row) == [*columns, "times"]
    assert (row["cost"], row["rate"], row["media_recordings"], row["call_type"]) == ("0", "0.0", [], "")
    answer = node.get(f"{acme.base}/cdrs?accept=csv")
    assert answer.body.splitlines()[0].decode() == ",".join(columns)
    assert answer.headers["content-disposition"] == 'attachment; filename="cdrs.csv"'


def test_csv_has_all_rows_or_one_page(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button()
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    for _ in range(60):
        node.get(f"{acme.base}/clicktocall/{button}/connect?contact=1002")
    settle(node)
    whole = node.get(f"{acme.base}/cdrs?accept=csv&file_name=march%22%0D%0Acalls.csv")
    assert len(whole.body.splitlines()) == 61
    assert whole.headers["content-disposition"] == 'attachment; filename="march___calls.csv"'
    page = node.get(f"{acme.base}/cdrs?accept=csv&page_size=50", headers={"x-file-name": "a b.csv"})
    assert len(page.body.splitlines()) == 51
    assert page.headers["content-disposition"] == 'attachment; filename="a b.csv"'
    rest = node.get(f"{acme.base}/cdrs?accept=csv&page_size=50&start_key={page.headers['next-start-key']}")
    assert len(rest.body.splitlines()) == 11
    assert "next-start-key" not in rest.headers
    ids = [line.split(b",")[0] for line in page.body.splitlines()[1:] + rest.body.splitlines()[1:]]
    assert [line.split(b",")[0] for line in whole.body.splitlines()[1:]] == ids
    assert len(set(ids)) == 60


def test_csv_of_many_pages_is_sent_page_by_page(
    node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdrs, "CSV_PAGE", 7)
    acme.given_two_phones()
    button = acme.given_button()
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    for _ in range(20):
        node.get(f"{acme.base}/clicktocall/{button}/connect?contact=1002")
    settle(node)
    lines = node.get(f"{acme.base}/cdrs?accept=csv").body.decode().splitlines()
    assert len(lines) == len(set(lines)) == 21


def test_summary_adds_all_legs(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_joined_call(node, acme)
    node.run(asyncio.sleep(1.1))
    node.delete(f"{acme.base}/calls/{call_id}")
    settle(node)
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    button = node.get(f"{acme.base}/clicktocall").data[0]["id"]
    node.get(f"{acme.base}/clicktocall/{button}/connect?contact=1002")
    settle(node)
    summary = node.get(f"{acme.base}/cdrs/summary").data
    assert (summary["inbound"], summary["outbound"]) == ({}, {})  # no carrier was used
    totals = summary["totals"]
    assert totals["legs"] == 3
    assert totals["legs_by_outcome"] == {"busy": 1, "connected": 2}
    legs = node.get(f"{acme.base}/cdrs").data
    assert totals["billing_seconds"] == sum(leg["billing_seconds"] for leg in legs) >= 2
    assert totals["duration_seconds"] == sum(leg["duration_seconds"] for leg in legs)
    assert node.get(f"{acme.base}/cdrs/summary?created_from=9&created_to=1").status == 400
    user = acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    assert node.get(f"{acme.base}/users/{user}/cdrs/summary").data["totals"]["legs"] == 0
    assert node.get(f"{acme.base}/users/{'f' * 32}/cdrs/summary").status == 404


def test_cdrs_and_history_are_filtered_and_variables_are_in_both(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = f"{acme.base}/clicktocall/{acme.given_button()}"
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    for order in range(6):
        node.get(f"{button}/connect?contact=1002&order={order}&team={'red' if order % 2 else 'blue'}")
    settle(node)

    def orders(path: str, query: str) -> list[str]:
        found = node.get(f"{path}?{query}").data
        return sorted(item["custom_application_vars"]["order"] for item in found)

    for query, wanted in (
        ("filter_custom_application_vars.team=red", "135"),
        ("filter_not_custom_application_vars.team=red", "024"),
        ('filter_custom_application_vars.order=["1","4"]', "14"),
        ("filter_custom_application_vars.team=red&filter_custom_application_vars.order=3", "3"),
        ("has_key=custom_application_vars.team&filter_outcome=busy", "012345"),
        ("key_missing=custom_application_vars.team", ""),
        ("has_value=sip_reason&filter_custom_application_vars.order=5", "5"),
        ("value_missing=sip_reason", ""),
        ("filter_custom_application_vars.team=green", ""),
    ):
        assert "".join(orders(f"{button}/history", query)) == wanted, query
        rows = node.get(f"{acme.base}/cdrs?{query}").data
        full = [node.get(f"{acme.base}/cdrs/{row['id']}").data for row in rows]
        assert "".join(sorted(leg["custom_application_vars"]["order"] for leg in full)) == wanted, query
    first = node.get(f"{button}/history?page_size=2&filter_custom_application_vars.team=red").json
    rest = node.get(
        f"{button}/history?page_size=2&filter_custom_application_vars.team=red"
        f"&start_key={first['next_start_key']}"
    ).json
    both = [item["custom_application_vars"]["order"] for item in first["data"] + rest["data"]]
    assert both == ["5", "3", "1"]


def test_attempts_in_progress_are_filtered_like_the_others(node: ApiNode, acme: TestAccount) -> None:
    node.phones.silent.add("dev1")
    call_id = given_joined_call(node, acme)
    button = node.get(f"{acme.base}/calls/{call_id}").data["authorizing_id"]
    history = f"{acme.base}/clicktocall/{button}/history"
    assert [item["call_id"] for item in node.get(f"{history}?filter_call_id={call_id}").data] == [call_id]
    assert node.get(f"{history}?filter_call_id=other").data == []
    later = node.get(f"{history}").data[0]["timestamp"] + 1
    assert node.get(f"{history}?created_from={later}").data == []


def test_a_filter_that_leaves_gaps_still_gives_full_pages(
    node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.given_two_phones()
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    button = f"{acme.base}/clicktocall/{acme.given_button()}"
    for order in range(30):
        node.get(f"{button}/connect?contact=1002&order={'rare' if order in (2, 17) else 'usual'}")
    settle(node)
    monkeypatch.setattr(lists_by_time, "SCAN_MAX", 5)
    query = "filter_not_custom_application_vars.order=usual&page_size=2"
    for path in (f"{button}/history", f"{acme.base}/cdrs"):
        page = node.get(f"{path}?{query}").json
        assert len(page["data"]) == 2, path
