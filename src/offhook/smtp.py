"""Mail over SMTP, in a thread."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

from offhook.app.recovery import MailFailed

TIMEOUT_S: Final = 20.0
"""Per step of the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpMailer:
    """Hands messages to one mail server."""

    host: str
    port: int = 587
    security: str = "starttls"
    """`starttls`, `tls` or `none`."""
    username: str = ""
    password: str = ""
    sender: str

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand one message to the mail server. Raises MailFailed."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, to, subject
        message.set_content(text)
        try:
            await asyncio.to_thread(self._deliver, message)
        except (OSError, smtplib.SMTPException) as error:
            raise MailFailed(f"{type(error).__name__}: {error}") from error

    def _deliver(self, message: EmailMessage) -> None:
        with self._connected() as server:
            if self.username:
                server.login(self.username, self.password)
            server.send_message(message)

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        if self.security == "starttls":
            server.starttls(context=context)
        return server
