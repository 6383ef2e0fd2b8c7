"""The conformance kit: black-box sequences over KAZOO's API, against any server that claims to speak it.

It knows a URL and an API key, and nothing of a server's insides. Where KAZOO's documentation and its code
differ, both are accepted. It works in an account of its own, which it deletes at the end; it calls nobody:
the extensions it dials belong to devices that never register.
"""

from .kit import Kit, Row
from .run import run_kit

__all__ = ["Kit", "Row", "run_kit"]
