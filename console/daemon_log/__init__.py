"""The daemon's own log: lines, files, rotation."""
