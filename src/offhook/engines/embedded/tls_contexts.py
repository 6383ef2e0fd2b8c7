"""TLS for SIP: the server's context, and one for each way a trunk wants to be verified (RFC 5922)."""

import ssl
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar, Final

from offhook.kernel import OffhookError
from offhook.sip.flows import TlsPeer

CONTEXTS_MAX: Final = 256
"""Contexts of trunks with a CA of their own, about 100 KB each; the one used longest ago is made anew."""


class TlsUnusable(OffhookError):
    """A certificate, key or CA cannot be used."""

    code: ClassVar[str] = "tls-unusable"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class TlsContexts:
    """Makes and keeps contexts. The node shows one certificate, as a server and, when asked, as a client."""

    def __init__(
        self, certificate: Path, key: Path, *, client_ca: Path | None = None, trusted_ca: Path | None = None
    ) -> None:
        """Files are PEM. client_ca: who signs the certificates of clients; trusted_ca: of servers, beside
        the system's. Raises TlsUnusable."""
        self._certificate = certificate
        self._key = key
        self._trusted_ca = trusted_ca
        self._clients: OrderedDict[tuple[str, bool], ssl.SSLContext] = OrderedDict()
        self.server = self._server_context(client_ca)
        self.client(TlsPeer("localhost"))  # a trusted CA that cannot be read is noticed at start

    def client(self, peer: TlsPeer) -> ssl.SSLContext:
        """Return the context for a connection to a peer. Raises TlsUnusable for a CA that is none."""
        key = (peer.ca, peer.verify)
        context = self._clients.get(key)
        if context is None:
            context = self._clients[key] = self._client_context(peer)
            if len(self._clients) > CONTEXTS_MAX:
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return context

    def _server_context(self, client_ca: Path | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._show_certificate(context)
        if client_ca is not None:
            _load_ca(context, client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL  # phones have none; one that is shown must be right
        return context

    def _client_context(self, peer: TlsPeer) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._show_certificate(context)
        if not peer.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif peer.ca:
            try:
                context.load_verify_locations(cadata=peer.ca)
            except (ssl.SSLError, ValueError) as error:
                raise TlsUnusable("the CA of a gateway", str(error)) from None
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
            if self._trusted_ca is not None:
                _load_ca(context, self._trusted_ca)
        return context

    def _show_certificate(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            raise TlsUnusable(f"certificate {self._certificate} with key {self._key}", str(error)) from None


def _load_ca(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise TlsUnusable(str(path), str(error)) from None
