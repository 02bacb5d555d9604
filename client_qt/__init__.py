"""Carries bytes and time to the protocol's client side, and keeps a device's own copy of the records."""
