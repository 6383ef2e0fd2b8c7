"""Adapters of the engine port: things that can ring and join phones."""
