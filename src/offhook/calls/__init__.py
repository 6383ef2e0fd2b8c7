"""Calls and legs: how two parties are rung, joined and ended, whatever engine does it."""

from .call import Call, CallState
from .errors import CallError, IllegalTransition

__all__ = ["Call", "CallError", "CallState", "IllegalTransition"]
