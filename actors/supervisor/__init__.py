"""The supervisor: whether an installation is disabled, warned of, probed or enabled."""
