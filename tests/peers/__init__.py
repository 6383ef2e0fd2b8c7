"""Other people's telephone systems, run from folders of their own: for tests and for benchmarks."""
