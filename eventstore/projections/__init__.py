"""The tables that follow the events, a module each with its handlers; `catalogue` names them all.

An app's secrets stand here too: they are not a projection, as no event holds them, but the registry is read with them.
"""
