"""Copies of the database: to restore from, or without secrets to look into."""
