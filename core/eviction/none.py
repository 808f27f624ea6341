"""No eviction: what is stored stays until a reservation or an invalidate takes it."""

from core.eviction.queue import ignore_expect as expect
from core.eviction.queue import ignore_touch as touch
from core.eviction.queue import insert_newest as insert
from core.eviction.queue import oldest_victim as victim
from core.eviction.queue import remove_from_queue as remove

__all__ = ["expect", "insert", "remove", "touch", "victim"]
