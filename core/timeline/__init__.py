"""Timelines: an event table prepared for a machine, and what of a policy makes another."""
