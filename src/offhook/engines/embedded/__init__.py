"""The embedded engine: our own SIP core and a media relay, in one node."""
