"""No eviction: what is stored stays until a reservation or an invalidate takes it."""

from core.eviction.queue import Eviction

NONE = Eviction(evicts=False, meaning="no unit goes: pages are stored while slots are free")
