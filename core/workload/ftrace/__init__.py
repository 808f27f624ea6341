"""Captures of a kernel: the text of ftrace becomes mm events and accesses."""
