"""What reading and writing one SIP message costs: CPU microseconds, best of several runs.

Every message differs, as on the wire. Run: python benchmarks/sip_codec.py
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from time import process_time_ns
from typing import TypeVar

from offhook.sip import (
    DigestServer,
    Request,
    SessionDescription,
    StreamFramer,
    answer_challenge,
    audio_target,
    hash_credentials,
    parse_message,
    response_to,
    serialize,
    validate_request,
)

from .report import Row, show

MESSAGES = 1_000
RUNS = 7
T = TypeVar("T")
BODY = (
    "v=0\r\no=- 20518 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 54609 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
)


def invite(number: int) -> bytes:
    return (
        f"INVITE sip:dev{number}@192.0.2.7:5062;transport=udp SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number:024x};rport\r\n"
        "Max-Forwards: 70\r\n"
        f'From: "Ann Example" <sip:+1555{number:07}@acme.example.com>;tag={number:016x}\r\n'
        f"To: <sip:dev{number}@acme.example.com>\r\n"
        f"Call-ID: c2c-{number:032x}\r\n"
        "CSeq: 1 INVITE\r\n"
        f"Contact: <sip:{number}@192.0.2.1:5060;transport=udp>\r\n"
        "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE\r\n"
        "Supported: replaces, timer\r\n"
        "User-Agent: Example Phone 1.0\r\n"
        "Content-Type: application/sdp\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n{BODY}"
    ).encode()


def cost(work: Callable[[T], object], items: Sequence[T]) -> float:
    """Return CPU microseconds for one item."""
    times = []
    for _ in range(RUNS):
        start = process_time_ns()
        for item in items:
            work(item)
        times.append(process_time_ns() - start)
    return min(times) / len(items) / 1000


def measure() -> Iterator[Row]:
    gc.disable()
    data = [invite(number) for number in range(MESSAGES)]
    requests = [parsed for item in data if isinstance(parsed := parse_message(item), Request)]
    stream = b"".join(data)
    yield Row("INVITE, parse", cost(parse_message, data), "µs")
    yield Row("INVITE, parse and validate every needed field", cost(read, data), "µs")
    yield Row("INVITE, serialize", cost(serialize, requests), "µs")
    yield Row("180, make from the INVITE and serialize", cost(ring, requests), "µs")
    yield Row("SDP, parse and find the audio", cost(find_audio, [BODY.encode()] * MESSAGES), "µs")
    yield Row(
        "INVITE, cut from a stream", cost(lambda item: StreamFramer().feed(item), [stream]) / MESSAGES, "µs"
    )
    yield Row("digest, verify SHA-256", digest_cost(), "µs")
    gc.enable()


def read(data: bytes) -> None:
    request = parse_message(data)
    if not isinstance(request, Request) or validate_request(request):
        raise ValueError("the benchmark's own INVITE was refused")


def ring(request: Request) -> bytes:
    return serialize(response_to(request, 180, to_tag="5f1d6a"))


def find_audio(body: bytes) -> None:
    audio_target(SessionDescription.parse(body))


def digest_cost() -> float:
    server = DigestServer(b"0123456789abcdef")
    ha1 = hash_credentials("SHA-256", "dev1", "acme", "secret")
    challenges = server.challenges("acme", now_s=1.0, salt="5a17")
    answers = [
        answer_challenge(
            challenges, "dev1", "secret", method="REGISTER", uri="sip:acme", cnonce="c", nc=number + 1
        )
        for number in range(MESSAGES)
    ]
    return cost(
        lambda answer: server.verify("REGISTER", [answer or ""], lambda *_: ha1, realm="acme", now_s=2.0),
        answers,
    )


def main() -> None:
    show(measure())


if __name__ == "__main__":
    main()
