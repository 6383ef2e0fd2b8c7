"""The servers behind gateways, apart from any number: what is probed, and asked about before a call."""

from collections.abc import Iterator

from offhook.app.ports import Document, Json
from offhook.sip.errors import RemoteMalformed
from offhook.sip.uri import SipUri

from .endpoints import server_uri
from .profile import text_at


def server_of(request_uri: str) -> str:
    """Return the server of a Request-URI: scheme, host, port and transport; "" if it is no SIP URI."""
    try:
        uri = SipUri.parse(request_uri)
    except RemoteMalformed:
        return ""
    transport = f";transport={uri.transport}" if uri.transport not in ("", "udp") else ""
    return f"{uri.scheme}:{uri.host_port.lower()}{transport}"


def servers_of(resource: Document) -> Iterator[tuple[str, Json]]:
    """Return the server and the gateway of each gateway of a resource that is in use."""
    if resource.data.get("enabled", True) is not True:
        return
    for gateway in resource.data.get("gateways") or ():
        is_used = isinstance(gateway, dict) and gateway.get("enabled", True) is True
        if is_used and text_at(gateway, "endpoint_type") in ("", "sip"):
            server = server_of(server_uri(gateway))
            if server:
                yield server, gateway
