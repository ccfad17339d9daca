"""Whether the wall clock is believed, and moments that a wrong one has put too far ahead."""
