"""`hookfuse replay` and its commands."""
