"""Use cases, and the ports through which they reach storage, engines and the bus."""
