"""First in, first out: the victim is the oldest unit, whatever was touched."""

from core.eviction.queue import Eviction

FIFO = Eviction(meaning="the oldest unit goes, whatever was touched since it was stored")
