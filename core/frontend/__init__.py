"""The front end: memory management as Linux does it, which turns accesses into mm events.

No policy of tag storage changes it. A way of reclaim is a module of hooks (mglru.py,
active_inactive.py). `begin`, `begin_run`, `scan` and `end_run` choose what is evicted. `insert`,
`touch` and `put_back` keep the lists. `is_workingset` and `remember` give the flag and the shadow
of a folio that is evicted.
"""
