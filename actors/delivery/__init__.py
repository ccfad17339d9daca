"""One installation's actor: its attempts, when the next one may be made, what is logged of each."""
