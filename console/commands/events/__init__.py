"""`hookfuse events` and its commands."""
