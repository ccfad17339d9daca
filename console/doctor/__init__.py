"""What `hookfuse doctor` looks at, but for what is sent: that is of the rooms which may."""
