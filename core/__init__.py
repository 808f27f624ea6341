"""Simulator of arm64 MTE tag storage reuse: what a policy would have done to a recorded kernel.

`replay` takes an mm event table (`read_events`), a `Machine` and B policies (`pack`) and returns
their outcomes, exactly as docs/model.md defines them; `measure` turns those into named columns.
"""
