"""Documents, history and CDRs in and out, in KAZOO's document form: migration, backup, test data."""

from .exporting import lines
from .importing import LINE_MAX_BYTES, Importer, Line
from .model import Attempt, Cdr, Installation, Known, Record, Refusal, TakenDocument, Verdict
from .report import Refused, Report

__all__ = [
    "LINE_MAX_BYTES",
    "Attempt",
    "Cdr",
    "Importer",
    "Installation",
    "Known",
    "Line",
    "Record",
    "Refusal",
    "Refused",
    "Report",
    "TakenDocument",
    "Verdict",
    "lines",
]
