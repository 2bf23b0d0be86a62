"""What the papers claim, and the studies that hold this library against it."""
