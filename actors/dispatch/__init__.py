"""The dispatcher: which delivery goes to which installation's actor next."""
