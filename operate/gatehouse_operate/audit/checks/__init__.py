"""Every check. Importing this package fills `finding.CHECKS`."""

from gatehouse_operate.audit.checks import apis, clients, entries, federation, identity_pools, itself, pool, system

__all__ = ["apis", "clients", "entries", "federation", "identity_pools", "itself", "pool", "system"]
