"""The front end: memory management as Linux does it, which turns accesses into mm events.

No policy of tag storage changes it.
"""
