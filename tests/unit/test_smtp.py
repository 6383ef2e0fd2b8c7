"""Mail as a mail server sees it."""

import asyncio
from email import message_from_bytes
from email.policy import default

import pytest

from offhook.app.recovery import MailFailed
from offhook.smtp import SmtpMailer


class MailServer:
    """Says yes to everything, and keeps the message."""

    def __init__(self, *, greeting: str = "220 mail.example.com") -> None:
        self.greeting = greeting
        self.content = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{self.greeting}\r\n".encode())
        while line := (await reader.readline()).decode():
            verb = line[:4].upper().strip()
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                self.content = await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")
            if verb == "QUIT":
                break
        writer.close()
        await writer.wait_closed()


async def send_to(server: MailServer) -> None:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    mailer = SmtpMailer(host="127.0.0.1", port=port, security="none", sender="offhook@example.com")
    async with listener:
        await mailer.send(
            "jane@example.com", "Choose a new password", "Grüße\nhttps://ui.example.com/?recovery=1"
        )


def test_a_message_arrives_whole() -> None:
    server = MailServer()
    asyncio.run(send_to(server))
    mail = message_from_bytes(server.content, policy=default)
    assert (mail["From"], mail["To"], mail["Subject"]) == (
        "offhook@example.com", "jane@example.com", "Choose a new password",
    )  # fmt: skip
    assert "Grüße\r\nhttps://ui.example.com/?recovery=1" in mail.get_content()


def test_a_server_that_refuses_is_a_failure() -> None:
    with pytest.raises(MailFailed, match="554"):
        asyncio.run(send_to(MailServer(greeting="554 no")))
