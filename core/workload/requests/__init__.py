"""Traces of requests, of block devices and caches, become accesses or mm events."""
