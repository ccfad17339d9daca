"""What `hookfuse doctor` looks at, except for what is sent: that is of the rooms which may."""
