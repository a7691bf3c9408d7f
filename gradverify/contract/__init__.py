"""The contract of a backward: what one must do, or must not, besides giving the right numbers."""

from gradverify.contract.auditor import audit, rules

__all__ = ["audit", "rules"]
