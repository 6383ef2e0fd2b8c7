"""offhook: puts two people on a phone call from one HTTP request, and tells the truth about it."""

__version__ = "0.1.0"
