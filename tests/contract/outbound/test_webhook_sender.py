"""The HTTP client of webhooks against receivers that misbehave, on loopback."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from offhook.delivery import PreparedRequest, parse_networks
from offhook.delivery.errors import Undeliverable
from offhook.outbound import HttpWebhookSender
from offhook.outbound.webhook_sender import BODY_MAX_BYTES

pytestmark = pytest.mark.anyio

HOST = "127.0.0.2"

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def sender() -> AsyncIterator[HttpWebhookSender]:
    opened = HttpWebhookSender(parse_networks([HOST]))
    yield opened
    await opened.close()
    await opened.close()


async def exchange(sender: HttpWebhookSender, *parts: bytes, endless: bytes = b"") -> object:
    """Send to a receiver that answers with these bytes; return the answer or the reason why there is none."""
    requests: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
        try:
            while endless:
                writer.write(endless)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(behave, HOST, 0)
    try:
        port = server.sockets[0].getsockname()[1]
        return await sender.send(request(f"http://{HOST}:{port}/x?y=%2F"))
    except Undeliverable as error:
        return error.reason
    finally:
        server.close()


def request(uri: str) -> PreparedRequest:
    return PreparedRequest(method="POST", uri=uri, headers={"webhook-id": "m1"}, body=b"a=1")


async def test_an_answer_is_taken_with_its_headers(sender: HttpWebhookSender) -> None:
    answer = await exchange(sender, b"HTTP/1.1 202 OK\r\nX-Word: yes\r\nContent-Length: 2\r\n\r\nhi")
    assert (answer.status, answer.headers["x-word"], answer.body) == (202, "yes", "hi")  # type: ignore[attr-defined]


async def test_an_endless_body_is_cut(sender: HttpWebhookSender) -> None:
    answer = await exchange(sender, b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 10_000)
    assert len(answer.body) == BODY_MAX_BYTES  # type: ignore[attr-defined]


async def test_what_is_compressed_stays_so(sender: HttpWebhookSender) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    answer = await exchange(sender, head, bomb)
    assert len(answer.body) <= BODY_MAX_BYTES  # type: ignore[attr-defined]


async def test_a_redirect_is_an_answer(sender: HttpWebhookSender) -> None:
    answer = await exchange(
        sender, b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
    )
    assert answer.status == 302  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000]
)
async def test_what_is_no_answer(sender: HttpWebhookSender, answer: bytes) -> None:
    assert await exchange(sender, answer) in ("bad_answer", "closed")


async def test_a_receiver_that_says_nothing(
    sender: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offhook.outbound.webhook_sender.ANSWER_S", 0.2)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(behave, HOST, 0)
    with pytest.raises(Undeliverable, match="timeout"):
        await sender.send(request(f"http://{HOST}:{server.sockets[0].getsockname()[1]}/"))
    server.close()


@pytest.mark.parametrize(
    ("uri", "reasons"),
    [
        (f"http://{HOST}:1/", {"econnrefused"}), ("http://127.0.0.1:1/", {"forbidden_address"}),
        ("http://[::1]:1/", {"forbidden_address"}), ("http://[::ffff:127.0.0.1]:1/", {"forbidden_address"}),
        ("http://localhost:1/", {"forbidden_address"}),
        ("ftp://127.0.0.2/", {"bad_uri"}), ("http://", {"bad_uri"}),
    ],
)  # fmt: skip
async def test_where_nothing_is_sent(sender: HttpWebhookSender, uri: str, reasons: set[str]) -> None:
    with pytest.raises(Undeliverable) as caught:
        await sender.send(request(uri))
    assert caught.value.reason in reasons


async def test_a_name_that_leads_to_one_inside_address_among_others_is_refused(
    sender: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rebind(host: str, port: int, **more: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port)),
        ]

    monkeypatch.setattr("offhook.outbound.guarded_resolver.socket.getaddrinfo", rebind)
    with pytest.raises(Undeliverable, match=r"forbidden_address: 10\.0\.0\.7"):
        await sender.send(request("http://receiver.example.com/"))
