"""Cleancache: evicted clean folios in tag storage; the loops that tmem shares."""
