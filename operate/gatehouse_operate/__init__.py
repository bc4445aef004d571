"""Tools for operators of Gatehouse."""
