"""Settings: one TOML file, and an OFFHOOK_… variable for each key; the variable wins."""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from offhook.app.quirks import QUIRKS
from offhook.app.token_costs import TokenCosts
from offhook.delivery import parse_networks
from offhook.delivery.targets import Network
from offhook.kernel import OffhookError
from offhook.sip.config import MIN_SESSION_S

PREFIX: Final = "OFFHOOK_"

CONFIG_VARIABLE: Final = "OFFHOOK_CONFIG"

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0)]


class SettingsInvalid(OffhookError):
    """At least one setting is wrong. Carries one line per fault, each naming the key."""

    code: ClassVar[str] = "settings-invalid"

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The effective settings of one node. `key` in the file is `OFFHOOK_KEY` in the environment."""

    http_host: str = "127.0.0.1"
    """Address of the API; `0.0.0.0` to serve other machines."""
    http_port: Port = 8000
    sip_host: str = "0.0.0.0"  # noqa: S104 - phones are on other machines; unauthenticated requests get nothing
    """Addresses for SIP, separated by commas: `192.0.2.7,2001:db8::7`; `0.0.0.0,::` for all."""
    sip_port: Port = 5060
    """0 lets the system choose (printed at start)."""
    sip_advertise: str = ""
    """IP address that peers reach us at, for Via, Contact and SDP; one of each family, separated by a comma.
    Empty: the bound one, or what the routing table says."""
    sip_local_networks: str = ""
    """Networks whose peers are told the local address in place of sip_advertise, separated by commas."""
    sip_digest: str = "MD5,SHA-256"
    """Algorithms a phone is challenged with, in this order. MD5 first: phones that take the first challenge
    and know nothing else are many; others choose the stronger one."""
    sip_nat_ping_s: Annotated[float, Meta(ge=0)] = 30.0
    """Seconds between two OPTIONS to a phone behind a NAT, by UDP; 0 = none."""
    sip_gateway_ping_s: Annotated[float, Meta(ge=0)] = 60.0
    """Seconds between two OPTIONS to a carrier's gateway; one that is silent is tried last. 0 = none."""
    sip_tls_port: Port = 0
    """SIP over TLS, usually 5061; 0: TLS only towards gateways that want it."""
    sip_tls_cert: str = ""
    """PEM file: our certificate and what leads to its CA; empty: a self-signed one is made in data_dir."""
    sip_tls_key: str = ""
    """PEM file: the key of sip_tls_cert."""
    sip_tls_client_ca: str = ""
    """PEM file: who signs the certificates of clients; a client that shows another is refused.
    Empty: none is asked for."""
    sip_tls_ca: str = ""
    """PEM file: CAs of servers we connect to, beside the system's."""
    http_tls_cert: str = ""
    """PEM file: with it the API, and SIP over websockets, is served over TLS."""
    http_tls_key: str = ""
    """PEM file: the key of http_tls_cert."""
    dns_servers: str = ""
    """Name servers for SIP, separated by commas: `192.0.2.53`, `127.0.0.1:5353`, `[2001:db8::53]:53`.
    Empty: those of the system."""
    data_dir: str = "var"
    """Folder for SQLite, media and recordings."""
    database_url: str = ""
    """`sqlite:///path`; empty: offhook.sqlite in data_dir."""
    nats_url: str = ""
    master_api_key: str = ""
    """64 hex digits: the master account's API key at first start; empty: one is made and printed."""
    master_realm: str = ""
    """Realm of the master account at first start; empty: one is made."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Processes that hold calls, this one among them: one per core."""
    worker_sip_port: Port = 0
    """SIP port of the first further worker, the next ones follow; 0: ten above sip_port."""
    media: Literal["rtp-io", "rtpengine", "direct"] = "rtp-io"
    media_ports: str = "20000-29999"
    """First and last UDP port of the relay; a call takes four, so these are good for 2,500 calls."""
    websocket_port: Port = 0
    """KAZOO's 5555: websockets on a port of their own, any path; 0: only at `/websocket` on http_port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    webhook_allow: str = ""
    """Networks that webhooks may reach although they are not public, separated by commas; empty: none."""
    sip_uri_allow: str = ""
    """Hosts that a SIP URI contact may name, separated by commas; empty: none."""
    smtp_host: str = ""
    """Mail server for password recovery; empty: there is no recovery."""
    smtp_port: Port = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: str = ""
    mail_from: str = ""
    """Address that mail comes from; needed with smtp_host."""
    recovery_hosts: str = ""
    """Hosts that a link to choose a new password may lead to, separated by commas; needed with smtp_host."""
    kazoo_quirks: str = ""
    """Oddities of KAZOO to keep, separated by commas, of those in `offhook.app.quirks`."""
    system_wide_channels: bool = False
    """The master account may list the live legs of all accounts at `/v2/channels` (KAZOO's
    `system_wide_channels_list`)."""
    token_ttl_s: Annotated[int, Meta(ge=1)] = 3600
    rate_bucket: Count = 100
    """Tokens per address and account; 0 = no limit."""
    rate_refill: Annotated[float, Meta(gt=0)] = 10.0
    """Tokens per second."""
    kazoo_token_costs: str = ""
    """Tokens that requests cost: `*=1, user_auth=35, devices/PUT=2`; else one costs 1, a login 10."""
    calls_per_second: Annotated[float, Meta(ge=0)] = 0.0
    """Calls this node starts per second; 0 = no limit."""
    calls_max: Count = 0
    """Calls that may stand on this node; 0 = no limit."""
    sip_follow_redirects: bool = False
    """Addresses that a phone or carrier names in a 3xx are rung, if sip_uri_allow, the account or the carrier
    allows their host; devices and gateways may say otherwise."""
    sip_session_expires_s: Annotated[int, Meta(ge=0, le=86_400)] = 1800
    """Session interval that is asked of phones and trunks (RFC 4028): one that vanishes is noticed within it.
    At least 90; 0: no session timers."""
    sip_rate_per_address: Annotated[float, Meta(ge=0)] = 500.0
    """SIP messages per second from one address that belong to no call; 0 = no limit. 10,000 phones behind one
    proxy that register every minute send 330; a flood of 500 costs some 4 % of a core."""
    sip_rate: Annotated[float, Meta(ge=0)] = 2_000.0
    """The same from all addresses where no phone has logged in and that are no carrier's; 0 = no limit."""
    sip_connections_per_address: Count = 200
    """SIP connections that one address may have open; 0 = no limit. An office behind one NAT; a proxy needs a
    few."""
    sip_scanners: str = (
        "friendly-scanner,friendly-request,sipvicious,sundayddr,sip-scan,sipcli,sipsscuser,pplsip,"
        "siparmyknife,vaxsipuseragent,iwar,smap"
    )
    """Requests with one of these words in their User-Agent are not answered; separated by commas."""
    sip_tls_realms: str = ""
    """Realms whose phones must use TLS (or WSS), separated by commas; `*` for all, empty for none."""
    websockets_per_address: Count = 0
    """Websockets that one address may have open; 0 = no limit."""
    drain_s: Annotated[float, Meta(ge=0)] = 30.0
    """How long SIGTERM waits for live calls."""
    max_duration_s: Annotated[float, Meta(ge=1)] = 14_400.0
    """A joined call is ended after this long: a forgotten leg costs money."""

    @property
    def media_port_range(self) -> tuple[int, int]:
        """Return the first and last port of the relay."""
        first, _, last = self.media_ports.partition("-")
        return int(first), int(last)

    @property
    def sqlite_path(self) -> Path:
        """Return where the database lies."""
        if self.database_url:
            return Path(self.database_url.removeprefix("sqlite:///"))
        return Path(self.data_dir) / "offhook.sqlite"

    @property
    def sip_digest_algorithms(self) -> tuple[str, ...]:
        """Return the algorithms in order, in upper case."""
        return tuple(word.upper() for word in _words(self.sip_digest))

    @property
    def sip_hosts(self) -> tuple[str, ...]:
        """Return the addresses for SIP, in order."""
        return tuple(_words(self.sip_host))

    @property
    def sip_advertised(self) -> tuple[str, ...]:
        """Return the addresses peers reach us at, if any are set."""
        return tuple(_words(self.sip_advertise))

    @property
    def dns_addresses(self) -> tuple[tuple[str, int], ...]:
        """Return the name servers. Raises ValueError, ruled out by `load_settings`."""
        return tuple(_server_address(word) for word in _words(self.dns_servers))

    @property
    def sip_networks(self) -> tuple[Network, ...]:
        """Return the networks on our side of the NAT. Raises ValueError, ruled out by `load_settings`."""
        return parse_networks(_words(self.sip_local_networks))

    @property
    def limits(self) -> dict[str, float]:
        """Return what a node bounds, by setting, for metrics; 0 is no limit."""
        names = ("calls_max", "calls_per_second", "rate_bucket", "rate_refill", "sip_connections_per_address",
                 "sip_rate", "sip_rate_per_address", "websockets_per_address")  # fmt: skip
        return {name: float(getattr(self, name)) for name in names}

    @property
    def sip_scanner_words(self) -> tuple[str, ...]:
        """Return the words of scanners, in lower case."""
        return tuple(_words(self.sip_scanners))

    @property
    def sip_tls_realm_names(self) -> frozenset[str]:
        """Return the realms that need TLS, in lower case."""
        return frozenset(_words(self.sip_tls_realms))

    @property
    def webhook_networks(self) -> tuple[Network, ...]:
        """Return the networks webhooks may reach. Raises ValueError, which `load_settings` has ruled out."""
        return parse_networks(_words(self.webhook_allow))

    @property
    def token_costs(self) -> TokenCosts:
        """Return what requests cost. Raises ValueError, which `load_settings` has ruled out."""
        return TokenCosts.parse(self.kazoo_token_costs)

    @property
    def quirks(self) -> frozenset[str]:
        """Return the oddities of KAZOO to keep."""
        return frozenset(_words(self.kazoo_quirks))

    @property
    def recovery_host_names(self) -> frozenset[str]:
        """Return the hosts a recovery link may lead to, in lower case."""
        return frozenset(_words(self.recovery_hosts))

    @property
    def sip_uri_hosts(self) -> frozenset[str]:
        """Return the hosts a SIP URI contact may name, in lower case."""
        return frozenset(_words(self.sip_uri_allow))


_UNAVAILABLE: Final = {
    "nats_url": "several nodes over NATS are not in this version; leave it out",
}
_PARSED: Final = {
    "webhook_allow": ("webhook_networks", "; networks look like 127.0.0.2/32"),
    "sip_local_networks": ("sip_networks", "; networks look like 192.168.0.0/16"),
    "dns_servers": ("dns_addresses", "; servers look like 192.0.2.53 or 127.0.0.1:5353"),
    "kazoo_token_costs": ("token_costs", ""),
}
"""Texts that a property parses: key → the property, and what is said beside its ValueError."""
_SECRET: Final = frozenset({"master_api_key", "smtp_password"})


def load_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Return the effective settings. Raises SettingsInvalid naming every wrong key, or the file's fault."""
    values = _from_file(path)
    faults = []
    for name in environment:
        key = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        if key not in Settings.__struct_fields__:
            faults.append(f"{name}: no such setting")
        else:
            values[key] = environment[name]
    settings = _convert(values, faults)
    faults += _faults_of(settings)
    if faults:
        raise SettingsInvalid(faults)
    return settings


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings as `offhook config show` prints them: secrets as ***."""
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    for key in _SECRET:
        if shown[key]:
            shown[key] = "***"
    shown["database_url"] = re.sub(r"//([^:/@]*):[^@]*@", r"//\1:***@", shown["database_url"])
    return shown


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsInvalid([f"{path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f"{path}: {error}"]) from None


def _convert(values: dict[str, Any], faults: list[str]) -> Settings:
    """Convert key by key, so that every fault is named; wrong ones fall back to the default."""
    good = {}
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, Settings, strict=False)
            good[key] = value
        except msgspec.ValidationError as error:
            faults.append(f"{PREFIX}{key.upper()}: {error}")
    return msgspec.convert(good, Settings, strict=False)


def _faults_of(settings: Settings) -> list[str]:
    faults = [f"{PREFIX}{key.upper()}: {why}" for key, why in _UNAVAILABLE.items() if getattr(settings, key)]
    if settings.media == "rtpengine":
        faults.append("OFFHOOK_MEDIA: rtpengine is not in this version; use rtp-io or direct")
    if settings.database_url and not settings.database_url.startswith("sqlite:///"):
        faults.append("OFFHOOK_DATABASE_URL: only sqlite:///PATH is in this version")
    if settings.master_api_key and not re.fullmatch(r"[0-9a-f]{64}", settings.master_api_key):
        faults.append("OFFHOOK_MASTER_API_KEY: must be 64 lower-case hex digits")
    if 0 < settings.sip_session_expires_s < MIN_SESSION_S:
        faults.append(f"OFFHOOK_SIP_SESSION_EXPIRES_S: must be 0, or at least {MIN_SESSION_S} (RFC 4028)")
    if unknown := settings.quirks - QUIRKS:
        faults.append(f"OFFHOOK_KAZOO_QUIRKS: no such quirk: {', '.join(sorted(unknown))}")
    if settings.smtp_host and not (settings.mail_from and settings.recovery_hosts):
        faults.append("OFFHOOK_SMTP_HOST: needs OFFHOOK_MAIL_FROM and OFFHOOK_RECOVERY_HOSTS")
    if not _is_port_range(settings.media_ports):
        faults.append("OFFHOOK_MEDIA_PORTS: must be FIRST-LAST with room for at least 16 ports above 1023")
    if not settings.sip_digest_algorithms or not set(settings.sip_digest_algorithms) <= {"MD5", "SHA-256"}:
        faults.append("OFFHOOK_SIP_DIGEST: must be MD5, SHA-256 or both, separated by a comma")
    return faults + _parse_faults(settings) + _address_faults(settings) + _tls_faults(settings)


def _parse_faults(settings: Settings) -> list[str]:
    faults = []
    for key, (name, hint) in _PARSED.items():
        try:
            getattr(settings, name)
        except ValueError as error:
            faults.append(f"{PREFIX}{key.upper()}: {error}{hint}")
    return faults


def _address_faults(settings: Settings) -> list[str]:
    faults = [
        f"{PREFIX}{key.upper()}: must be an IP address, not {word!r}"
        for key in ("sip_host", "sip_advertise")
        for word in _words(getattr(settings, key))
        if not _is_address(word)
    ]
    if not settings.sip_hosts:
        faults.append("OFFHOOK_SIP_HOST: must name at least one address")
    if len({":" in host for host in settings.sip_advertised}) < len(settings.sip_advertised):
        faults.append("OFFHOOK_SIP_ADVERTISE: at most one IPv4 and one IPv6 address")
    return faults


def _server_address(text: str) -> tuple[str, int]:
    """Return host and port of `192.0.2.53`, `192.0.2.53:5353` or `[2001:db8::53]:53`. Raises ValueError."""
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\]\[]+))(?::(\d{1,5}))?", text)
    host, port = (found[1] or found[2], int(found[3] or 53)) if found else (text, 53)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    return str(ipaddress.ip_address(host)), port


def _tls_faults(settings: Settings) -> list[str]:
    faults = [
        f"{PREFIX}{kind.upper()}_TLS_CERT: certificate and key go together"
        for kind in ("sip", "http")
        if bool(getattr(settings, f"{kind}_tls_cert")) != bool(getattr(settings, f"{kind}_tls_key"))
    ]
    names = (
        "sip_tls_cert",
        "sip_tls_key",
        "sip_tls_client_ca",
        "sip_tls_ca",
        "http_tls_cert",
        "http_tls_key",
    )
    faults += [
        f"{PREFIX}{name.upper()}: no such file: {path}"
        for name in names
        if (path := getattr(settings, name)) and not Path(path).is_file()
    ]
    return faults


def _is_port_range(text: str) -> bool:
    if not re.fullmatch(r"\d{4,5}-\d{4,5}", text):
        return False
    first, last = (int(port) for port in text.split("-"))
    return first >= 1024 and first + 15 <= last <= 65535


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",") if word.strip()]
