"""`offhook demo`: a real call from one HTTP request, for people to watch."""

from .scene import run_demo

__all__ = ["run_demo"]
