"""hookfuse.toml, what follows from it, and what a daemon hands on to its workers or leaves for `doctor`."""
