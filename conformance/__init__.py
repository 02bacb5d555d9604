"""Plays traces against a Tocsin client or server, in any language, and gives a verdict."""
