"""What a cell leaves behind: its files on disk first, then an experiment tracker."""
