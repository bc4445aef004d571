"""Every check. Importing this package fills `finding.CHECKS`."""

from gatehouse_operate.audit.checks import apis, clients, federation, identity_pools, itself, pool, system

__all__ = ["apis", "clients", "federation", "identity_pools", "itself", "pool", "system"]
