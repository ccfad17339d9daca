"""What a person gives as a file, checked at the border."""
