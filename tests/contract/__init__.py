"""Candidates that keep or break the contract of a backward, and what the audit says of them."""
