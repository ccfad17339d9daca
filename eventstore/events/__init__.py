"""The events: what can be recorded, by type, and how each is written down."""
