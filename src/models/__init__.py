"""What is measured: loading a checkpoint, and the traits a scorer needs to know of it."""
