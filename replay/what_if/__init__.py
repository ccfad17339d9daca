"""The recorded history judged by another policy."""
