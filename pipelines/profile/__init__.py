"""Profiles: read, checked, and what they mean."""
