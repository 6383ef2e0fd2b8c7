"""SIP without sockets: messages, session descriptions, digest, transactions, dialogs, registrar."""

from .bindings import Binding
from .client_invite import ClientInvite
from .client_reinvite import ClientReinvite
from .client_request import ClientRequest
from .commands import EndReason, InviteRequest, OutgoingRequest
from .config import UserAgentConfig
from .dialogs import Dialog
from .digest import Challenge, DigestServer, Verdict, answer_challenge, choose_challenge, hash_credentials
from .errors import LocalHeaderInjection, RemoteMalformed, SipError
from .events import SipEvent
from .flows import Flow
from .framing import KeepAlive, StreamFramer
from .grammar import WILDCARD, CSeq, NameAddr, Parameters, Via
from .headers import Headers
from .message import (
    REASONS,
    Request,
    Response,
    SipMessage,
    parse_expires,
    parse_message,
    response_to,
    serialize,
)
from .registrar import Registrar, RegistrarResult
from .sdp import (
    CODECS,
    AudioTarget,
    Codec,
    LocalNoCodec,
    MediaSection,
    SessionDescription,
    audio_target,
    build_answer,
    build_offer,
    check_answer,
)
from .transactions import ServerTransaction
from .uri import SipUri
from .user_agent import UserAgentCore
from .validation import request_fault, unsupported_options, validate_request, validate_response

__all__ = [
    "CODECS",
    "REASONS",
    "WILDCARD",
    "AudioTarget",
    "Binding",
    "CSeq",
    "Challenge",
    "ClientInvite",
    "ClientReinvite",
    "ClientRequest",
    "Codec",
    "Dialog",
    "DigestServer",
    "EndReason",
    "Flow",
    "Headers",
    "InviteRequest",
    "KeepAlive",
    "LocalHeaderInjection",
    "LocalNoCodec",
    "MediaSection",
    "NameAddr",
    "OutgoingRequest",
    "Parameters",
    "Registrar",
    "RegistrarResult",
    "RemoteMalformed",
    "Request",
    "Response",
    "ServerTransaction",
    "SessionDescription",
    "SipError",
    "SipEvent",
    "SipMessage",
    "SipUri",
    "StreamFramer",
    "UserAgentConfig",
    "UserAgentCore",
    "Verdict",
    "Via",
    "answer_challenge",
    "audio_target",
    "build_answer",
    "build_offer",
    "check_answer",
    "choose_challenge",
    "hash_credentials",
    "parse_expires",
    "parse_message",
    "request_fault",
    "response_to",
    "serialize",
    "unsupported_options",
    "validate_request",
    "validate_response",
]
