"""The front end: memory management as Linux does it, which turns accesses into mm events.

No policy of tag storage changes it. A way of reclaim is a module of hooks (mglru.py,
active_inactive.py), which are kernels over the `pages` and the `register` of lists.py:

``begin(pages, register)``
    Called once, before the first access.
``begin_run(pages, register, target)``, ``end_run(pages, register)``
    Called before and after a run of reclaim that goes on until `target` pages are free.
``is_amid(register)``
    Returns whether reclaim must go on, for it looks only at times whether enough pages are free.
``scan(pages, register)``
    Looks at one folio. If it is to be evicted, takes it off its list and returns it, else ABSENT.
``put_back(pages, register, folio)``
    Keeps a folio that `scan` returned and that is pinned.
``insert(pages, register, folio, shadow, in_fault)``
    Puts a folio that came into memory on a list. `shadow` is what `remember` returned when the
    folio was evicted, or 0; `in_fault` says that it was a fault that brought it in.
``touch(pages, register, folio)``
    Counts an access by file descriptor.
``is_workingset(pages, folio)``
    Returns whether a folio that is evicted now counts as workingset.
``remember(pages, register, folio)``
    Returns the shadow of a folio that is evicted now.
"""
