"""What a peer may send, made up by machines: targets, a coverage-guided runner, and what was found."""
