"""Zswap-like: evicted pages, compressed, several to a slot of tag storage."""
