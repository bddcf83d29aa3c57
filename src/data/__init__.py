"""Where benchmark files come from: root folder, cache, pinned download, checksums, readers."""
