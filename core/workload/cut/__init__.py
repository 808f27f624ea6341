"""Cuts of a trace, by time, phase, task or cgroup, and traces that name nobody."""
