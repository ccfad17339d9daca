"""The actors beside Redis: taking deliveries in, and writing the original's layout."""
