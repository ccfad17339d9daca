"""The home folder: where everything lives, who may read it, and who runs on it."""
