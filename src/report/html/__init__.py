"""The report of a sweep as one HTML file: `python -m src.report.html DIRECTORY`."""
