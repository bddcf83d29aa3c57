"""`python -m src.bench`: the engine's speed as a ratio to a one-item-at-a-time loop."""
