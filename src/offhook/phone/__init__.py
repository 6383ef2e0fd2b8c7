"""A soft phone for trying things: registers, answers as told, sends a tone, and says what it hears."""

from .model import (
    Answered,
    Answering,
    CallEnded,
    Heard,
    PhoneEvent,
    PhoneSettings,
    Registered,
    RegistrationFailed,
    Ringing,
    TransferReported,
)
from .soft_phone import SoftPhone
from .terminal import PhoneOptionWrong, resolve_server, run_phone, split_address

__all__ = [
    "Answered",
    "Answering",
    "CallEnded",
    "Heard",
    "PhoneEvent",
    "PhoneOptionWrong",
    "PhoneSettings",
    "Registered",
    "RegistrationFailed",
    "Ringing",
    "SoftPhone",
    "TransferReported",
    "resolve_server",
    "run_phone",
    "split_address",
]
