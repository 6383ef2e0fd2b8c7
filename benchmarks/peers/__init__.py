"""Systems that put two phones on a call, all driven alike."""

from .system import Plan, System

__all__ = ["Plan", "System"]
