"""Puts Gatehouse in front of a user pool and APIs that exist, and takes it back."""
