"""What Keras has no operation for, by the backend in use: the one place where backends are called by name."""
