"""What those who watch a daemon see: metrics, health, statsd, and what it reports about itself."""
