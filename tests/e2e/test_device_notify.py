"""A registered phone is told to fetch its configuration."""

import hashlib
import re
import socket

from .harness import Account, Server
from .harness.ports import HOST

WAIT_S = 20.0


class BarePhone:
    """Registers over UDP with digest, and reads what comes."""

    def __init__(self, server: Server, username: str, password: str, realm: str) -> None:
        self._server = (server.host, server.sip_port)
        self._name, self._password, self._realm = username, password, realm
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._socket.settimeout(WAIT_S)

    @property
    def contact(self) -> str:
        host, port = self._socket.getsockname()
        return f"sip:{self._name}@{host}:{port}"

    def register(self) -> None:
        challenge = self._send_register(1, "")
        nonce = re.search(r'WWW-Authenticate: Digest .*?nonce="([^"]+)"', challenge)
        assert challenge.startswith("SIP/2.0 401"), challenge
        assert nonce is not None, challenge
        answer = self._send_register(2, self._authorization(nonce[1]))
        assert answer.startswith("SIP/2.0 200"), answer

    def receive(self) -> str:
        data, source = self._socket.recvfrom(65_535)
        self._source = source
        return data.decode()

    def accept(self, request: str) -> None:
        kept = [
            line
            for line in request.split("\r\n")
            if line.lower().startswith(("via:", "from:", "to:", "call-id:", "cseq:"))
        ]
        answer = "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""])
        self._socket.sendto(answer.encode(), self._source)

    def close(self) -> None:
        self._socket.close()

    def _authorization(self, nonce: str) -> str:
        uri = f"sip:{self._realm}"
        ha1 = _md5(f"{self._name}:{self._realm}:{self._password}")
        counted = f"{nonce}:00000001:c:auth"
        response = _md5(f"{ha1}:{counted}:{_md5(f'REGISTER:{uri}')}")
        return (
            f'Authorization: Digest username="{self._name}", realm="{self._realm}", nonce="{nonce}", '
            f'uri="{uri}", response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"\r\n'
        )

    def _send_register(self, number: int, authorization: str) -> str:
        host, port = self._socket.getsockname()
        address = f"<sip:{self._name}@{self._realm}>"
        request = (
            f"REGISTER sip:{self._realm} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK-{number}\r\n"
            f"From: {address};tag=t\r\nTo: {address}\r\nCall-ID: bare@{host}\r\nCSeq: {number} REGISTER\r\n"
            f"Contact: <{self.contact}>\r\nExpires: 300\r\nMax-Forwards: 70\r\n{authorization}"
            "Content-Length: 0\r\n\r\n"
        )
        self._socket.sendto(request.encode(), self._server)
        return self.receive()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_a_phone_hears_check_sync_and_other_events(server: Server, account: Account) -> None:
    device = account.create_phone("bare", "s3cret-pass")
    phone = BarePhone(server, "bare", "s3cret-pass", account.realm)
    try:
        phone.register()
        account.client.request("POST", account.path("devices", device, "sync"))
        notify = phone.receive()
        phone.accept(notify)
        assert notify.startswith(f"NOTIFY {phone.contact} SIP/2.0\r\n"), notify
        assert "\r\nEvent: check-sync\r\n" in notify
        assert "\r\nSubscription-State: terminated" in notify
        told = {"event": "check-sync;reboot=true", "body": {"content_type": "text/plain", "data": "now"}}
        account.client.request("PUT", account.path("devices", device), {"action": "notify", "data": told})
        notify = phone.receive()
        phone.accept(notify)
        assert "\r\nEvent: check-sync;reboot=true\r\n" in notify
        assert notify.endswith("\r\n\r\nnow")
    finally:
        phone.close()
