"""The tables and figures of the paper, made from finished cells and the published numbers."""
