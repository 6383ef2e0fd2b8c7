import pytest

from offhook.sip import KeepAlive, RemoteMalformed, StreamFramer, parse_message
from offhook.sip.message import MAX_HEAD_BYTES

from .messages import INVITE, wire

MESSAGE = wire(INVITE)
BODYLESS = wire("SIP/2.0 200 OK\nCall-ID: x\nContent-Length: 0\n\n")


def feed_bytewise(data: bytes) -> list[bytes | KeepAlive]:
    framer = StreamFramer()
    return [item for at in range(len(data)) for item in framer.feed(data[at : at + 1])]


def test_several_messages_in_one_read() -> None:
    assert StreamFramer().feed(MESSAGE + BODYLESS + MESSAGE) == [MESSAGE, BODYLESS, MESSAGE]


def test_any_segmentation_gives_the_same_messages() -> None:
    assert feed_bytewise(MESSAGE + BODYLESS + MESSAGE) == [MESSAGE, BODYLESS, MESSAGE]


@pytest.mark.parametrize(
    "header", ["l: 4", "L:4", "CONTENT-LENGTH  :   0004  ", "Content-Length:\r\n 4", "l:\t4"]
)
def test_content_length_in_every_spelling(header: str) -> None:
    data = f"INFO sip:a SIP/2.0\r\n{header}\r\nCall-ID: x\r\n\r\nbody".encode()
    framer = StreamFramer()
    assert framer.feed(data + BODYLESS) == [data, BODYLESS]
    assert parse_message(data).body == b"body"


def test_absent_content_length_means_no_body() -> None:
    data = wire("OPTIONS sip:a SIP/2.0\nCall-ID: x\n\n")
    assert StreamFramer().feed(data + BODYLESS) == [data, BODYLESS]


def test_length_in_another_header_or_the_body_is_not_seen() -> None:
    data = wire("INFO sip:a SIP/2.0\nX-Content-Length: 9\nX: a\n l: 7\nl: 12\n\n\nl: 99\n\nA")
    assert StreamFramer().feed(data) == [data]


def test_keep_alives() -> None:
    assert StreamFramer().feed(b"\r\n\r\n") == [KeepAlive.PING]
    assert StreamFramer().feed(b"\r\n\r\n\r\n\r\n" + BODYLESS) == [KeepAlive.PING, KeepAlive.PING, BODYLESS]
    assert StreamFramer().feed(b"\r\n") == [KeepAlive.PONG]
    assert StreamFramer().feed(b"\r\n" + BODYLESS) == [KeepAlive.PONG, BODYLESS]


def test_split_ping_is_a_ping() -> None:
    assert feed_bytewise(b"\r\n\r\n") == [KeepAlive.PONG, KeepAlive.PING]
    assert feed_bytewise(b"\r\n" + BODYLESS + b"\r\n\r\n") == [
        KeepAlive.PONG, BODYLESS, KeepAlive.PONG, KeepAlive.PING,
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["-1", "x", "", "1\r\nl: 1", "70000", "9" * 5000])
def test_bad_length_loses_the_stream(value: str) -> None:
    framer = StreamFramer()
    with pytest.raises(RemoteMalformed) as caught:
        framer.feed(f"INVITE sip:a SIP/2.0\r\nCall-ID: x\r\nContent-Length: {value}\r\n\r\n".encode())
    assert framer.fault is caught.value
    with pytest.raises(RemoteMalformed):
        framer.feed(BODYLESS)


def test_request_that_loses_the_stream_can_be_answered() -> None:
    with pytest.raises(RemoteMalformed) as caught:
        StreamFramer().feed(MESSAGE.replace(b": 126", b": -126"))
    assert caught.value.request is not None
    assert caught.value.status == 400


def test_messages_before_the_fault_are_not_lost() -> None:
    framer = StreamFramer()
    assert framer.feed(BODYLESS + b"GET / HTTP/1.1\r\n\r\n") == [BODYLESS]
    assert framer.fault is not None
    with pytest.raises(RemoteMalformed):
        framer.feed(b"")


def test_head_is_bounded() -> None:
    framer = StreamFramer()
    assert framer.feed(b"INVITE sip:a SIP/2.0\r\nX: " + b"x" * (MAX_HEAD_BYTES - 100)) == []
    with pytest.raises(RemoteMalformed) as caught:
        framer.feed(b"x" * 100)
    assert caught.value.status == 513


def test_whole_message_is_bounded() -> None:
    with pytest.raises(RemoteMalformed):
        StreamFramer().feed(wire("INVITE sip:a SIP/2.0\nl: 65536\n\n"))
