"""Carries bytes and time to the protocol's server side, over Quart and Trio."""
