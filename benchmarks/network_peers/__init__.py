"""Benchmarks of what is asked of one trained network, one module a question."""
