"""Intervals, paired tests, power: what may be concluded from a cell's numbers."""
