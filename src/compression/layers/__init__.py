"""Modules that stand in for linear layers in a compressed model."""
