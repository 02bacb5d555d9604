"""Tests of the server's half of the protocol."""
