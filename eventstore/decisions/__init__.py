"""Decisions with what follows from them, each in one transaction: disable, review, probe, outage watch, owner mails."""
