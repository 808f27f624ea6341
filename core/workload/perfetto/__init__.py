"""Captures in Perfetto's own form: packets of protocol buffers, some of which hold ftrace."""
