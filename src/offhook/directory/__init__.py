"""Documents of the installation: accounts, users, devices, callflows, carriers, buttons. Pure."""

from .faults import Faults
from .keys import document_keys, normal_account_name, taken_fault
from .model import GLOBAL_ACCOUNT, Document, DocumentKey, Json
from .ordering import list_keys, list_kind
from .policy import complete_account, complete_device, merge
from .validation import IsPlayable, validate

__all__ = [
    "GLOBAL_ACCOUNT",
    "Document",
    "DocumentKey",
    "Faults",
    "IsPlayable",
    "Json",
    "complete_account",
    "complete_device",
    "document_keys",
    "list_keys",
    "list_kind",
    "merge",
    "normal_account_name",
    "taken_fault",
    "validate",
]
