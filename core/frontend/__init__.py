"""The kernel's memory management that no cleancache policy changes: accesses into mm events."""
