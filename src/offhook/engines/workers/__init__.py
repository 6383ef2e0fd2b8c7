"""Engines in processes of their own, one per core (`offhook serve --workers N`)."""

from .host import WorkerLost
from .messages import Begin
from .pool import WorkerPool
from .worker import EngineWorker

__all__ = ["Begin", "EngineWorker", "WorkerLost", "WorkerPool"]
