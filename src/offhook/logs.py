"""Structured logs on standard error: lines for people on a terminal, JSON for machines elsewhere."""

import logging
import sys

import msgspec
import structlog


def configure_logs(level: str) -> None:
    """Send structlog's events to standard error from `level` up. Call once, before anything logs."""
    renderer: structlog.typing.Processor
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_encode)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _encode(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
