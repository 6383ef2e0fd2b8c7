"""Calls and legs: how two parties are rung, joined and ended, whatever engine does it."""

from .call import Call
from .errors import CallError, IllegalTransition
from .states import CallState

__all__ = ["Call", "CallError", "CallState", "IllegalTransition"]
