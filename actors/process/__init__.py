"""A daemon's processes: alone, as lead with workers, or as a worker; systemd's side of it."""
