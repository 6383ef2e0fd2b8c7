"""HTTP requests that this server makes to others."""

from .webhook_sender import HttpWebhookSender

__all__ = ["HttpWebhookSender"]
