"""An installation as it was at a moment, and what has changed since."""
