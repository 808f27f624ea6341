"""Captures of a kernel: text of ftrace becomes mm events and accesses."""
