"""The journal: the one writer, which commits many outcomes at once, and what is done once a minute."""
