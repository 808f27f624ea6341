"""What holds the unused tag storage: one file a system."""
