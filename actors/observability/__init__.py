"""Metrics, health, statsd, and what a daemon reports about itself."""
