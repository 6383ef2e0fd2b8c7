"""Builds a node from its settings. The only place that chooses adapters; cli/ and tests call it."""

from offhook.settings import Settings

from .node import REALM_SUFFIX, Node

__all__ = ["REALM_SUFFIX", "Node", "build_node"]


def build_node(settings: Settings) -> Node:
    """Return a node that is not started."""
    return Node(settings)
