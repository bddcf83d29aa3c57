"""What is asked of a model: items in, metrics out."""
