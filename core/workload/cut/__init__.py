"""Cuts of a trace, by time, phase, task or cgroup, and traces that tell of nobody."""
