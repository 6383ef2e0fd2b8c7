"""Actions on live calls: done, or refused with a reason (kazoo-behaviour 8)."""

from pathlib import Path
from typing import Any

import pytest

from offhook.api import ApiSettings
from offhook.calls.commands import HangUpLeg, HoldLeg, PlayOnce, StartRecording, StopPlaying, UnholdLeg
from offhook.calls.events import RecordingMade

from .node import Answer, ApiNode, TestAccount, settle
from .test_call_events import wait_for_state


class Joined:
    """A call of two phones, and its legs."""

    third_device = ""

    def __init__(self, node: ApiNode, acme: TestAccount) -> None:
        self.node, self.acme = node, acme
        acme.given_two_phones()
        self.button_id = acme.given_button()
        answer = node.get(f"{acme.base}/clicktocall/{self.button_id}/connect?contact=1002")
        self.call_id = answer.data["call_id"]
        for _ in range(100):
            self.legs = [item["uuid"] for item in node.get(f"{acme.base}/channels").data]
            if len(self.legs) == 2 and node.get(self.path()).data.get("other_leg_call_id"):
                break
        self.performed: list[Any] = []
        perform = node.phones.perform

        def note(command: Any) -> None:
            if isinstance(command, HoldLeg | UnholdLeg | PlayOnce | StopPlaying | HangUpLeg | StartRecording):
                self.performed.append(command)
            perform(command)

        node.phones.perform = note  # type: ignore[method-assign]

    def path(self, leg: int = 0) -> str:
        return f"{self.acme.base}/channels/{self.legs[leg]}"

    def metaflow(self, module: str, channel: int = 0, /, **data: Any) -> Answer:
        body = {"module": module, "data": data, "children": {}}
        return self.node.ask("PUT", self.path(channel), body)


@pytest.fixture
def joined(node: ApiNode, acme: TestAccount) -> Joined:
    return Joined(node, acme)


def test_hangup_ends_the_call(joined: Joined) -> None:
    answer = joined.node.post(joined.path(), {"action": "hangup"})
    assert (answer.status, answer.data) == (202, "hangup initiated")
    wait_for_state(joined.acme, joined.call_id, "ended")
    call = joined.node.get(f"{joined.acme.base}/calls/{joined.call_id}").data
    assert (call["outcome"], call["by"]) == ("connected", "api")
    assert joined.node.post(joined.path(), {"action": "hangup"}).status == 404


@pytest.mark.parametrize("leg", [0, 1])
def test_hold_and_back(joined: Joined, leg: int) -> None:
    answer = joined.metaflow("hold", leg)
    assert (answer.status, answer.data) == (201, "metaflow sent")
    assert joined.node.get(joined.path(leg)).data["is_on_hold"] is True
    assert [item["is_onhold"] for item in joined.node.get(f"{joined.acme.base}/channels").data].count(
        True
    ) == 1
    assert joined.node.post(joined.path(leg), {"action": "break"}).status == 202
    assert joined.node.get(joined.path(leg)).data["is_on_hold"] is False
    assert joined.performed == [HoldLeg(joined.legs[leg], ""), UnholdLeg(joined.legs[leg])]
    assert joined.metaflow("unhold", leg).status == 400


def test_what_is_asked_for_is_heard_or_what_the_plan_says(joined: Joined) -> None:
    joined.metaflow("hold")
    joined.metaflow("hold", media="us")
    assert joined.performed == [HoldLeg(joined.legs[0], ""), HoldLeg(joined.legs[0], "us")]
    refused = joined.metaflow("hold", media="f" * 32)
    assert (refused.status, list(refused.data)) == (400, ["data.media"])


def test_media_that_goes_past_the_server_is_not_held(joined: Joined) -> None:
    joined.node.phones.bypassed = True
    refused = joined.metaflow("hold")
    assert (refused.status, refused.json["message"]) == (400, "invalid data")
    assert joined.performed == []


@pytest.mark.parametrize("action", ["say", "nonsense", None, 5, ["hangup"], {"a": 1}])
def test_what_cannot_be_done_is_said(joined: Joined, action: object) -> None:
    refused = joined.node.post(joined.path(), {"action": action})
    assert (refused.status, refused.json["message"]) == (400, "invalid data")
    assert refused.data


@pytest.mark.parametrize("module", ["say", "tts", "nonsense"])
def test_modules_that_cannot_be_done_are_refused(joined: Joined, module: str) -> None:
    assert joined.metaflow(module).json["message"] == "invalid data"


def test_a_target_is_asked_for_in_kazoos_words(joined: Joined) -> None:
    refused = joined.node.post(joined.path(), {"action": "transfer"})
    assert refused.data == {"target": {"required": {"message": "No target destination specified"}}}
    assert joined.node.put(joined.path(), {}).data["module"]["required"]


# --- transfer, callflow, intercept ------------------------------------------------------------------


@pytest.fixture
def third(joined: Joined) -> str:
    """A third phone at 1003; returns the id of its callflow."""
    joined.third_device = joined.acme.created("devices", {"name": "dev3", "sip": {"username": "dev3"}})
    joined.node.registered.add("dev3", joined.acme.realm)
    flow = {"module": "device", "data": {"id": joined.third_device}, "children": {}}
    return joined.acme.created("callflows", {"numbers": ["1003"], "flow": flow})


def after(joined: Joined, leaves: int) -> list[dict[str, Any]]:
    """The two legs that are joined once leg `leaves` has left."""
    for _ in range(100):
        settle(joined.node)
        legs = joined.node.get(f"{joined.acme.base}/channels").data
        ids = [item["uuid"] for item in legs]
        if len(legs) == 2 and joined.legs[leaves] not in ids and all(item.get("other_leg") for item in legs):
            return list(legs)
    raise AssertionError(legs)


@pytest.mark.parametrize("leaves", [0, 1])
def test_a_blind_transfer_puts_the_other_leg_through(joined: Joined, third: str, leaves: int) -> None:
    answer = joined.node.post(joined.path(leaves), {"action": "transfer", "target": "1003"})
    assert (answer.status, answer.data) == (202, "transfer initiated")
    legs = after(joined, leaves)
    assert {item["destination"] for item in legs} >= {"1003"}
    ids = [item["uuid"] for item in legs]
    assert [item["other_leg"] for item in legs] == ids[::-1]
    assert HangUpLeg(joined.legs[leaves], "BLIND_TRANSFER") in joined.performed
    assert HoldLeg(joined.legs[1 - leaves], "us") in joined.performed


def test_the_target_sees_who_stays_and_whose_doing_it_is(joined: Joined, third: str) -> None:
    joined.node.post(joined.path(0), {"action": "transfer", "target": "1003", "moh": "de"})
    after(joined, 0)
    dialed = joined.node.phones.dialed[-1]
    assert (dialed.replaces_leg_id, dialed.peer_leg_id) == (joined.legs[0], joined.legs[1])
    assert dialed.endpoint.caller_id_number == "1002"
    assert ("Referred-By", f"<sip:dev1@{joined.acme.realm}>") in dialed.endpoint.headers
    assert HoldLeg(joined.legs[1], "de") in joined.performed


def test_a_transferred_call_has_one_outcome_and_a_cdr_for_each_leg(joined: Joined, third: str) -> None:
    joined.node.post(joined.path(1), {"action": "transfer", "target": "1003"})
    new = next(item for item in after(joined, 1) if item["destination"] == "1003")
    joined.node.delete(f"{joined.acme.base}/calls/{joined.call_id}")
    settle(joined.node)
    [entry] = joined.node.get(f"{joined.acme.base}/clicktocall/{joined.button_id}/history").data
    assert (entry["outcome"], entry["result"], entry["contact"]) == ("connected", "success", "1002")
    cdrs = joined.node.get(f"{joined.acme.base}/cdrs/legs/{new['interaction_id']}").data
    full = {item["call_id"]: item for item in cdrs}
    assert set(full) == {*joined.legs, new["uuid"]}
    assert full[new["uuid"]]["callee_id_number"] == "1003"
    assert full[joined.legs[0]]["other_leg_call_id"] == new["uuid"]
    assert full[joined.legs[1]]["other_leg_call_id"] == joined.legs[0]
    assert full[joined.legs[1]]["hangup_cause"] == "BLIND_TRANSFER"
    assert {item["outcome"] for item in full.values()} == {"connected"}


def test_a_transfer_that_fails_ends_the_call_as_connected_with_the_cause(joined: Joined, third: str) -> None:
    joined.node.phones.refusing["dev3"] = ("USER_BUSY", 486)
    joined.node.post(joined.path(1), {"action": "transfer", "target": "1003"})
    settle(joined.node)
    call = joined.node.get(f"{joined.acme.base}/calls/{joined.call_id}").data
    assert (call["outcome"], call["hangup_cause"], call["sip_code"]) == ("connected", "USER_BUSY", 486)
    timeline = joined.node.get(f"{joined.acme.base}/calls/{joined.call_id}/timeline").data
    begun = next(step for step in timeline if step["what"] == "transfer_begun")
    assert (begun["number"], begun["handover"], begun["by"]) == ("1003", "blind", "api")
    assert next(step for step in timeline if step["what"] == "transfer_failed")["sip_code"] == 486
    ladder = joined.node.get(f"{joined.acme.base}/calls/{joined.call_id}/timeline?format=text").body.decode()
    assert "* transfer (blind) in place of the second party (1): callflow 1003" in ladder
    assert "* transfer failed: USER_BUSY (SIP 486)" in ladder
    assert "* leg of the second party (2) over: USER_BUSY (SIP 486)" in ladder


def test_a_transfer_to_nobody_ends_the_call_with_the_reason(joined: Joined) -> None:
    joined.node.post(joined.path(1), {"action": "transfer", "target": "4711"})
    settle(joined.node)
    call = joined.node.get(f"{joined.acme.base}/calls/{joined.call_id}").data
    assert (call["outcome"], call["hangup_cause"]) == ("connected", "NO_ROUTE_DESTINATION")


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"target": "sip:1@evil.example.com"}, None),
        ({"target": "1\r\nX: y"}, "target"),
        ({"target": "1003", "moh": "f" * 32}, "moh"),
        ({"target": "1003", "transfer-type": "odd"}, "transfer-type"),
        ({"target": "1003", "transfer-type": "attended"}, None),
    ],
)
def test_a_transfer_that_may_not_be_changes_nothing(joined: Joined, values: Any, path: str | None) -> None:
    refused = joined.node.post(joined.path(), {"action": "transfer", **values})
    assert refused.status in (400, 403)
    if path is not None:
        assert list(refused.data) == [path]
    assert joined.performed == []


def test_a_bypassed_call_is_not_transferred(joined: Joined, third: str) -> None:
    joined.node.phones.bypassed = True
    refused = joined.node.post(joined.path(), {"action": "transfer", "target": "1003"})
    assert (refused.status, refused.json["message"]) == (400, "invalid data")
    assert joined.performed == []


def test_a_leg_is_sent_to_a_callflow(joined: Joined, third: str) -> None:
    answer = joined.node.post(joined.path(0), {"action": "callflow", "id": third})
    assert (answer.status, answer.data) == (202, "callflow initiated")
    legs = after(joined, 1)
    assert joined.legs[0] in [item["uuid"] for item in legs]
    assert joined.node.phones.dialed[-1].endpoint.request_uri.startswith("sip:dev3@")


@pytest.mark.parametrize(
    "values",
    [{}, {"id": "f" * 32}, {"id": "CALLFLOW", "captures": 5}, {"id": "CALLFLOW", "collected": {"a": "1"}}],
)
def test_a_callflow_that_is_none_is_refused(joined: Joined, third: str, values: dict[str, Any]) -> None:
    values = {name: third if value == "CALLFLOW" else value for name, value in values.items()}
    assert joined.node.post(joined.path(), {"action": "callflow", **values}).status == 400
    assert joined.performed == []


@pytest.mark.parametrize("stays", [0, 1])
def test_an_intercepted_call_goes_on_with_who_answers(joined: Joined, third: str, stays: int) -> None:
    values = {"action": "intercept", "target_type": "device", "target_id": joined.third_device}
    answer = joined.node.post(joined.path(stays), values)
    assert (answer.status, answer.data) == (202, "intercept initiated")
    assert joined.legs[stays] in [item["uuid"] for item in after(joined, 1 - stays)]
    assert joined.performed == [HangUpLeg(joined.legs[1 - stays], "PICKED_OFF")]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({}, "target_type"),
        ({"target_type": "device"}, "target_id"),
        ({"target_type": "group", "target_id": "x"}, "target_type"),
        ({"target_type": "user", "target_id": "f" * 32}, "target_id"),
        ({"target_type": "device", "target_id": "x", "unbridged_only": True}, None),
    ],
)
def test_an_intercept_without_interceptor_is_refused(joined: Joined, values: Any, path: str | None) -> None:
    refused = joined.node.post(joined.path(), {"action": "intercept", **values})
    assert refused.status == 400
    if path is not None:
        assert list(refused.data) == [path]


# --- play -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "legs"), [("self", [0]), ("peer", [1]), ("both", [0, 1]), (None, [0, 1])])
def test_something_is_played_once_and_stopped(joined: Joined, to: str | None, legs: list[int]) -> None:
    values = {"id": "de"} if to is None else {"id": "de", "leg": to}
    assert joined.metaflow("play", **values).status == 201
    assert joined.performed == [PlayOnce(joined.legs[leg], "de") for leg in legs]
    assert joined.node.post(joined.path(), {"action": "break"}).status == 202
    assert joined.performed[len(legs) :] == [StopPlaying(joined.legs[leg]) for leg in legs]
    assert joined.node.post(joined.path(), {"action": "break"}).status == 400


@pytest.mark.parametrize(
    ("values", "path"), [({}, "id"), ({"id": "f" * 32}, "id"), ({"id": "de", "leg": "all"}, "leg")]
)
def test_what_cannot_be_played_is_refused(joined: Joined, values: dict[str, Any], path: str) -> None:
    refused = joined.node.post(joined.path(), {"action": "play", **values})
    assert (refused.status, list(refused.data)) == (400, [path])


def test_nothing_is_played_to_a_party_on_hold(joined: Joined) -> None:
    joined.metaflow("hold")
    assert joined.metaflow("play", id="de").status == 400


# --- record -----------------------------------------------------------------------------------------


def recordings(joined: Joined) -> list[dict[str, Any]]:
    listed = joined.node.get(f"{joined.acme.base}/media").data
    return [item for item in listed if item["media_source"] == "recording"]


def test_a_recording_is_media_of_the_account(joined: Joined, tmp_path: Path) -> None:
    assert joined.metaflow("record_call", action="start").status == 201
    [media] = recordings(joined)
    assert joined.performed == [StartRecording(joined.legs[0], media["id"])]
    assert joined.metaflow("record_call", 1, action="start").status == 400
    assert len(recordings(joined)) == 1
    stopped = joined.node.post(joined.path(1), {"action": "record", "record_action": "stop"})
    assert stopped.status == 202
    assert joined.metaflow("record_call", action="stop").status == 400
    wav = tmp_path / "made.wav"
    wav.write_bytes(b"RIFF and so on")

    async def make() -> None:
        joined.node.calls.report(RecordingMade(media["id"], str(wav)))

    joined.node.run(make())
    settle(joined.node)
    path = f"{joined.acme.base}/media/{media['id']}"
    assert joined.node.get(f"{path}/raw").body == b"RIFF and so on"
    assert joined.node.get(path).data["call_id"] == joined.call_id
    assert not wav.exists()
    assert joined.node.delete(path).status == 200


def test_a_recording_that_could_not_be_made_has_no_file(joined: Joined) -> None:
    joined.metaflow("record_call")
    [media] = recordings(joined)

    async def fail() -> None:
        joined.node.calls.report(RecordingMade(media["id"], ""))
        joined.node.calls.report(RecordingMade("f" * 32, "of-nobody.wav"))

    joined.node.run(fail())
    settle(joined.node)
    assert joined.node.get(f"{joined.acme.base}/media/{media['id']}/raw").status == 404


@pytest.mark.parametrize(
    "values", [{"action": "mask"}, {"format": "mp3"}, {"url": "http://example.com/"}, {"action": "stop"}]
)
def test_a_recording_that_cannot_be_is_refused(joined: Joined, values: dict[str, Any]) -> None:
    assert joined.metaflow("record_call", **values).status == 400
    assert (recordings(joined), joined.performed) == ([], [])


def test_media_that_go_past_the_server_are_not_recorded(joined: Joined) -> None:
    joined.node.phones.bypassed = True
    assert joined.metaflow("record_call").status == 400
    assert recordings(joined) == []


def test_a_channel_that_is_not_bridged_is_not_held(node: ApiNode, acme: TestAccount) -> None:
    node.phones.silent.add("dev1")
    acme.given_two_phones()
    node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002")
    [channel] = node.get(f"{acme.base}/channels").data
    path = f"{acme.base}/channels/{channel['uuid']}"
    refused = node.put(path, {"module": "hold", "data": {}})
    assert list(refused.data) == ["other_leg_call_id"]
    refused = node.post(path, {"action": "transfer", "target": "1"})
    assert refused.data["other_leg_call_id"]["required"]["message"] == "Channel is not bridged"


def test_channels_of_others_are_unknown(joined: Joined) -> None:
    other = joined.node.given_account("Other")
    path = f"{other.base}/channels/{joined.legs[0]}"
    assert joined.node.post(path, {"action": "hangup"}).status == 404
    assert joined.node.put(path, {"module": "hangup", "data": {}}).status == 404


def test_the_master_sees_the_legs_of_all_if_the_server_is_set_so(tmp_path: Path) -> None:
    node = ApiNode(tmp_path, settings=ApiSettings(rate_bucket=0, system_wide_channels=True))
    try:
        for name in ("Acme", "Other"):
            account = node.given_account(name)
            account.given_two_phones()
            node.get(f"{account.base}/clicktocall/{account.given_button()}/connect?contact=1002")
        settle(node)
        assert len(node.get("/v2/channels").data) == 4
        assert node.get("/v2/channels", token=account.token()).status == 403
    finally:
        node.stop()


def test_system_wide_channels_are_off_by_default(node: ApiNode) -> None:
    answer = node.get("/v2/channels")
    assert (answer.status, answer.data["message"]) == (403, "OFFHOOK_SYSTEM_WIDE_CHANNELS is not set")
