"""What pruning methods share: which weights go, and how others make up for them."""
