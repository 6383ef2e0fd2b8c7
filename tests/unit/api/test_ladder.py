"""The ladder of a call, drawn from its timeline."""

from offhook.api.ladder import draw_ladder
from offhook.app.live_call import view_of
from offhook.calls import Call
from tests.unit.calls.calls_language import plan, step


def test_arrows_point_from_sender_to_receiver_and_forked_legs_are_numbered() -> None:
    call = Call(plan(first=(step("a"),), second=(step("b1", "b2"),)), 1000.0)
    steps = [
        {"at": "2026-11-24T21:00:00.000Z", "what": "accepted"},
        _sip("00.010", "a", "out", "INVITE"),
        _sip("00.020", "a", "in", "200 OK (INVITE)"),
        _sip("00.030", "b2", "out", "INVITE"),
        _sip("00.040", "b2", "in", "486 Busy Here (INVITE)"),
        {"at": "2026-11-24T21:00:00.050Z", "what": "leg_ended", "leg_id": "b2", "hangup_cause": "USER_BUSY",
         "sip_code": 486},
        {"at": "2026-11-24T21:00:01.000Z", "what": "ended", "outcome": "busy", "by": "contact",
         "hangup_cause": "USER_BUSY"},
    ]  # fmt: skip
    lines = draw_ladder(view_of(call), steps).splitlines()
    assert "1001 (extension)" in lines[0]
    assert "1002 (contact)" in lines[0]
    assert lines[3].startswith("     10 ms  │<")
    assert "INVITE" in lines[3]
    assert "200 OK (INVITE)" in lines[4]
    assert ">│" in lines[4]
    assert lines[5].rstrip().endswith(">│")
    assert "INVITE (2)" in lines[5]
    assert "│<" in lines[6]
    assert "486 Busy Here" in lines[6]
    assert lines[7].endswith("leg of the second party (2) over: USER_BUSY (SIP 486)")
    assert lines[8].endswith("ended: busy, by contact, USER_BUSY")
    assert {len(line) for line in lines[3:7]} == {len(lines[3])}


def _sip(at: str, leg_id: str, direction: str, message: str) -> dict:
    return {"at": f"2026-11-24T21:00:{at}Z", "what": "sip", "leg_id": leg_id, "direction": direction,
            "message": message, "peer": "udp:127.0.0.1:5062"}  # fmt: skip
