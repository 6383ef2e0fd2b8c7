"""SIP without sockets: messages, session descriptions, digest, transactions, dialogs, registrar."""

from .digest import Challenge, DigestServer, Verdict, answer_challenge, choose_challenge, hash_credentials
from .errors import LocalHeaderInjection, RemoteMalformed, SipError
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
from .uri import SipUri
from .validation import request_fault, unsupported_options, validate_request, validate_response

__all__ = [
    "CODECS",
    "REASONS",
    "WILDCARD",
    "AudioTarget",
    "CSeq",
    "Challenge",
    "Codec",
    "DigestServer",
    "Headers",
    "KeepAlive",
    "LocalHeaderInjection",
    "LocalNoCodec",
    "MediaSection",
    "NameAddr",
    "Parameters",
    "RemoteMalformed",
    "Request",
    "Response",
    "SessionDescription",
    "SipError",
    "SipMessage",
    "SipUri",
    "StreamFramer",
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
