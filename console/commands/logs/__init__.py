"""`hookfuse logs` and its commands."""
