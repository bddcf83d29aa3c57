"""Reading cells back: the table at the end of a sweep, StereoSet predictions in and out."""
