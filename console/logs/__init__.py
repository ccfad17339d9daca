"""The daemon's log as a person or a program reads it: files, lines, filters, a follower, a story, a summary."""
