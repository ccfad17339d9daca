"""What people and metrics ask of the whole, as values."""
