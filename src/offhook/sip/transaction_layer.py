"""The table of transactions: matches messages to them (RFC 3261 17.1.3, 17.2.3) and queues their bytes."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from offhook.kernel import Random, TimerWheel

from .config import MAX_UDP_REQUEST_BYTES, UserAgentConfig
from .flows import DEFAULT_PORT, Flow
from .grammar import Via
from .message import Headers, Request, Response, serialize
from .transaction_base import Transaction
from .transaction_tables import Input, State
from .transactions import ClientTransaction, ClientUser, ServerTransaction, ServerUser

MAGIC_COOKIE: Final = "z9hG4bK"
BRANCH_HEX: Final = 20
"""80 random bits: nobody guesses a branch and forges an answer."""

Key = tuple[Any, ...]


class TransactionLayer:
    """All transactions of one core, by key. Bytes to send wait in `outbox`."""

    __slots__ = (
        "_by_connection",
        "_clients",
        "_merges",
        "_servers",
        "config",
        "outbox",
        "random",
        "statistics",
        "wheel",
    )

    def __init__(self, config: UserAgentConfig, random: Random, wheel: TimerWheel) -> None:
        self.config = config
        self.random = random
        self.wheel = wheel
        self.statistics: Counter[str] = Counter()
        self.outbox: list[tuple[bytes, Flow]] = []
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._merges: dict[Key, ServerTransaction] = {}
        self._by_connection: dict[Key, set[Transaction]] = {}

    def __len__(self) -> int:
        """Return how many transactions live."""
        return len(self._clients) + len(self._servers)

    @property
    def is_full(self) -> bool:
        """Tell whether new calls must wait; what belongs to standing dialogs still passes."""
        return len(self._clients) + len(self._servers) >= self.config.max_transactions

    def new_branch(self) -> str:
        """Return a branch nobody has used."""
        return MAGIC_COOKIE + self.random.hex(BRANCH_HEX)

    def transmit(self, data: bytes, flow: Flow) -> None:
        """Queue bytes for the shell."""
        self.outbox.append((data, flow))

    # --- requests of ours ---

    def send(
        self,
        request: Request,
        flow: Flow,
        user: ClientUser,
        now: float,
        *,
        branch: str = "",
        same_flow: bool = False,
    ) -> ClientTransaction:
        """Start a client transaction. branch is given for CANCEL, which bears that of its INVITE.

        Over UDP a long request tries TCP first (18.1.1), unless it must use the same flow.
        """
        branch = branch or self.new_branch()
        data, used_flow = self._with_via(request, flow, branch), flow
        if len(data) > MAX_UDP_REQUEST_BYTES and not same_flow and self._has_tcp(flow):
            used_flow = Flow("tcp", flow.local, flow.remote)
            request.headers.remove("Via")
            data = self._with_via(request, used_flow, branch)
        transaction = ClientTransaction(self, request, user, used_flow, branch)
        self._add_client(transaction)
        transaction.start(data, now, fallback=None if used_flow is flow else flow)
        return transaction

    def adopt(
        self, request: Request, flow: Flow, user: ClientUser, branch: str, now: float
    ) -> ClientTransaction:
        """Take up an INVITE that an earlier process sent, as if a provisional answer had come."""
        self._with_via(request, flow, branch)
        transaction = ClientTransaction(self, request, user, flow, branch)
        transaction.state = State.PROCEEDING
        self._add_client(transaction)
        transaction.start_timer(Input.TIMER_C, self.config.timer_c, now)
        return transaction

    def send_again(self, transaction: ClientTransaction, flow: Flow, now: float) -> None:
        """Send a request whose TCP connection could not be opened over UDP after all (18.1.1)."""
        request = transaction.request
        request.headers.remove("Via")
        data = self._with_via(request, flow, transaction.branch)
        transaction.flow = flow
        transaction.state = State.CALLING if transaction.is_invite else State.TRYING
        self._add_client(transaction)
        transaction.start(data, now)

    def send_without_transaction(
        self, request: Request, flow: Flow, *, branch: str = ""
    ) -> tuple[bytes, Flow]:
        """Queue the ACK of a 2xx and return what was queued, to be sent again.

        It stays on UDP however long: nobody would tell us that TCP failed.
        """
        sent = self._with_via(request, flow, branch or self.new_branch()), flow
        self.outbox.append(sent)
        return sent

    def _with_via(self, request: Request, flow: Flow, branch: str) -> bytes:
        """Put the Via on and return the bytes."""
        request.headers.prepend("Via", self._via_value(flow, branch))
        return serialize(request)

    def _has_tcp(self, flow: Flow) -> bool:
        return flow.transport == "udp" and "tcp" in self.config.advertised

    def _via_value(self, flow: Flow, branch: str) -> str:
        host, port = self.config.own_address(flow)
        return f"SIP/2.0/{flow.transport.upper()} {bracketed(host)}:{port};branch={branch};rport"

    def failure_ack(self, transaction: ClientTransaction, response: Response) -> bytes:
        """Return the ACK of a 3xx to 6xx: same branch, Request-URI and Route (17.1.1.3)."""
        request = transaction.request
        headers = Headers()
        headers.add("Via", request.headers.get("Via") or "")
        for name in ("Max-Forwards", "From"):
            headers.add(name, request.headers.get(name) or "")
        headers.add("To", response.headers.get("To") or request.headers.get("To") or "")
        headers.add("Call-ID", request.call_id)
        headers.add("CSeq", f"{request.cseq.number} ACK")
        for route in request.headers.get_all("Route"):
            headers.add("Route", route)
        return serialize(Request("ACK", request.uri, headers, b""))

    def receive_response(self, response: Response, branch: str, now: float) -> bool:
        """Give a response to the transaction of its branch; False if there is none."""
        transaction = self._clients.get((branch, response.cseq.method))
        if transaction is None:
            return False
        transaction.apply(input_of(response.status), response, now)
        return True

    # --- requests of peers ---

    def find_server(self, request: Request, method: str) -> ServerTransaction | None:
        """Return the transaction a repeated request, an ACK or a CANCEL belongs to."""
        return self._servers.get(server_key(request, method))

    def is_merged(self, request: Request) -> bool:
        """Tell whether the same request came by another path (8.2.2.2)."""
        return merge_key(request) in self._merges

    def accept(self, request: Request, user: ServerUser, source: Flow) -> ServerTransaction:
        """Start a server transaction."""
        key = server_key(request, request.method)
        transaction = ServerTransaction(
            self, request, user, key=key, source=source, reply_flow=reply_flow(request.via, source)
        )
        self._servers[key] = transaction
        if not request.to_tag:
            transaction.merge_key = merge_key(request)
            self._merges[transaction.merge_key] = transaction
        if transaction.is_invite and source.is_reliable:
            self._by_connection.setdefault(connection_of(source), set()).add(transaction)
        return transaction

    # --- both ---

    def drop_server(self, transaction: ServerTransaction) -> None:
        """Forget a terminated transaction."""
        self._servers.pop(transaction.key, None)
        if transaction.merge_key is not None:
            self._merges.pop(transaction.merge_key, None)
        if transaction.is_invite and transaction.source.is_reliable:
            self._leave(transaction, connection_of(transaction.source))

    def drop_client(self, transaction: ClientTransaction) -> None:
        """Forget a terminated transaction."""
        if self._clients.get(transaction.key) is transaction:  # a second CANCEL of an INVITE has its key
            del self._clients[transaction.key]
        if not transaction.flow.is_reliable:
            return
        self._leave(transaction, connection_of(transaction.flow))

    def _leave(self, transaction: Transaction, connection: Key) -> None:
        users = self._by_connection.get(connection, set())
        users.discard(transaction)
        if not users:
            self._by_connection.pop(connection, None)

    def _add_client(self, transaction: ClientTransaction) -> None:
        self._clients[transaction.key] = transaction
        if transaction.flow.is_reliable:
            self._by_connection.setdefault(connection_of(transaction.flow), set()).add(transaction)

    def flow_failed(self, flow: Flow, now: float) -> None:
        """Tell the transactions that send over a connection that it is lost or cannot be opened."""
        for transaction in list(self._by_connection.get(connection_of(flow), ())):
            if transaction.state is not State.TERMINATED:
                transaction.apply(Input.TRANSPORT_ERROR, None, now)


def input_of(status: int) -> Input:
    """Return what a response is to a transaction."""
    if status < 200:
        return Input.PROVISIONAL
    return Input.SUCCESS if status < 300 else Input.FAILURE


def connection_of(flow: Flow) -> Key:
    """Return what the flows over one connection have in common."""
    return (flow.transport, flow.remote, flow.id, flow.tls)


def bracketed(host: str) -> str:
    """Return a host as it stands in a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def server_key(request: Request, method: str) -> Key:
    """Return the key of 17.2.3; peers of RFC 2543 have no magic cookie."""
    via = request.via
    branch = via.branch
    if branch.startswith(MAGIC_COOKIE):
        return (branch, via.host.lower(), via.port, method)
    return (request.call_id, request.from_tag, request.cseq.number, str(via), method)


def merge_key(request: Request) -> Key:
    """Return what two copies of one request have in common."""
    return (request.call_id, request.from_tag, request.cseq.number, request.method)


def reply_flow(via: Via, source: Flow) -> Flow:
    """Return where answers go (RFC 3261 18.2.2, RFC 3581); maddr is not followed (reflection)."""
    if source.is_reliable or "rport" in via.params:
        return source
    port = via.port or DEFAULT_PORT
    if port == source.remote[1]:
        return source
    return Flow(source.transport, source.local, (source.remote[0], port))
