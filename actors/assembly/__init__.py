"""Who gets what: the actors of one process, made and wired; check-ups of what they talk to."""
