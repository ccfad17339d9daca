"""The scene of `hookfuse demo`."""
