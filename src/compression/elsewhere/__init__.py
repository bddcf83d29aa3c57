"""Quantizing in another interpreter, for a library whose environment clashes with this one."""
