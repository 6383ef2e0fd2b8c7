"""The root of the error tree; each context has one class below it in its own `errors.py`."""

from typing import ClassVar


class OffhookError(Exception):
    """Base of every error this project raises on purpose."""

    code: ClassVar[str] = "offhook-error"
    """Stable, kebab-case; clients match on it."""
