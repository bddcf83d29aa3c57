"""Figures of a sweep: those of the paper, and those that it does not have."""
