"""What hookfuse asks of a store, as protocols: SQLite is behind them, memory for tests, and whatever comes next.

Each has a suite in tests/conformance/, which runs on every implementation there is.
"""
