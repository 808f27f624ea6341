"""Evictions: which unit is reclaimed when the cache needs room, one file each.

A file has five hooks over the arrays of a `queue.State`:

``expect(slot_of, table, register, page)``
    A new unit will begin with `page`; room for it is made next.
``insert(slot_of, table, register, unit)``
    A new unit enters at the new end, its mark cleared.
``touch(slot_of, table, register, unit, restored)``
    The unit was restored (`restored`) or stored again.
``remove(slot_of, table, register, unit)``
    The unit ceases.
``victim(slot_of, table, register, keep)``
    Return the unit to reclaim, never `keep`; there is another one.
"""
