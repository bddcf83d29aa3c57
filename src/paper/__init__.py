"""Running what a table or figure of the paper needs, and saying beforehand what that would cost."""
