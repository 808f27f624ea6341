"""Where mm events and accesses come from: importers of traces, generators, and recipes."""
