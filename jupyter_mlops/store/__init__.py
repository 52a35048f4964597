"""Facts: rows in SQLite or PostgreSQL, changed only together with the event that says so. For all."""

from .events import AuditReport, Event
from .store import Store, Transaction

__all__ = ["AuditReport", "Event", "Store", "Transaction"]
