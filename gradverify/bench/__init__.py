"""Timing the passes of a case against each other, in pairs; what comes out is in `gradverify.timing`."""
