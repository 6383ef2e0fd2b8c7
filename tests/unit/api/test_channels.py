"""Actions on live calls: done, or refused with a reason (kazoo-behaviour 8)."""

from pathlib import Path
from typing import Any

import pytest

from offhook.api import ApiSettings
from offhook.calls.commands import HoldLeg, UnholdLeg

from .node import Answer, ApiNode, TestAccount, settle


class Joined:
    """A call of two phones, and its legs."""

    def __init__(self, node: ApiNode, acme: TestAccount) -> None:
        self.node, self.acme = node, acme
        acme.given_two_phones()
        answer = node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002")
        self.call_id = answer.data["call_id"]
        for _ in range(100):
            self.legs = [item["uuid"] for item in node.get(f"{acme.base}/channels").data]
            if len(self.legs) == 2 and node.get(self.path()).data.get("other_leg_call_id"):
                break
        self.performed: list[Any] = []
        perform = node.phones.perform

        def note(command: Any) -> None:
            if isinstance(command, HoldLeg | UnholdLeg):
                self.performed.append(command)
            perform(command)

        node.phones.perform = note  # type: ignore[method-assign]

    def path(self, leg: int = 0) -> str:
        return f"{self.acme.base}/channels/{self.legs[leg]}"

    def metaflow(self, module: str, leg: int = 0, **data: Any) -> Answer:
        body = {"module": module, "data": data, "children": {}}
        return self.node.ask("PUT", self.path(leg), body)


@pytest.fixture
def joined(node: ApiNode, acme: TestAccount) -> Joined:
    return Joined(node, acme)


def test_hangup_ends_the_call(joined: Joined) -> None:
    answer = joined.node.post(joined.path(), {"action": "hangup"})
    assert (answer.status, answer.data) == (202, "hangup initiated")
    for _ in range(100):
        call = joined.node.get(f"{joined.acme.base}/calls/{joined.call_id}").data
        if "outcome" in call:
            break
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


def test_the_accounts_music_is_heard_or_what_is_asked_for(joined: Joined) -> None:
    joined.node.patch(joined.acme.base, {"music_on_hold": {"media_id": "de"}})
    joined.metaflow("hold")
    joined.metaflow("hold", media="us")
    assert joined.performed == [HoldLeg(joined.legs[0], "de"), HoldLeg(joined.legs[0], "us")]
    refused = joined.metaflow("hold", media="f" * 32)
    assert (refused.status, list(refused.data)) == (400, ["data.media"])


def test_media_that_goes_past_the_server_is_not_held(joined: Joined) -> None:
    joined.node.phones.bypassed = True
    refused = joined.metaflow("hold")
    assert (refused.status, refused.json["message"]) == (400, "invalid data")
    assert joined.performed == []


@pytest.mark.parametrize("action", ["callflow", "intercept", "nonsense", None, 5])
def test_what_cannot_be_done_is_said(joined: Joined, action: object) -> None:
    refused = joined.node.post(joined.path(), {"action": action})
    assert (refused.status, refused.json["message"]) == (400, "invalid data")
    assert refused.data


@pytest.mark.parametrize("module", ["play", "say", "record_call", "transfer", "nonsense"])
def test_modules_that_cannot_be_done_are_refused(joined: Joined, module: str) -> None:
    assert joined.metaflow(module).json["message"] == "invalid data"


def test_a_transfer_is_refused_with_kazoos_words_first(joined: Joined) -> None:
    refused = joined.node.post(joined.path(), {"action": "transfer"})
    assert refused.data == {"target": {"required": {"message": "No target destination specified"}}}
    refused = joined.node.post(joined.path(), {"action": "transfer", "target": "1001"})
    assert (refused.status, refused.json["message"]) == (400, "invalid data")
    assert joined.node.put(joined.path(), {}).data["module"]["required"]


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
