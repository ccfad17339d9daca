"""The recorded history evaluated by another policy."""
