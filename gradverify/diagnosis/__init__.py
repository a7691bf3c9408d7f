"""What a mistake looks like: one small rule a mistake, each with the sentence that the user reads."""

from gradverify.diagnosis.contributions import find_contributions
from gradverify.diagnosis.pattern import describe_error
from gradverify.diagnosis.rules import RULES, diagnose
from gradverify.diagnosis.subject import Contribution, Subject

__all__ = ["RULES", "Contribution", "Subject", "describe_error", "diagnose", "find_contributions"]
