"""Training: the recipe of the embedded tiny models."""
