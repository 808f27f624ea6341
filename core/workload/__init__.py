"""Where events come from: one reader of traces a file."""
