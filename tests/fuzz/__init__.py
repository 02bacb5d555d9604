"""Any bytes in any state: a coverage-guided fuzzer, its targets, and what every target promises (docs/decisions/0013)."""
