"""What gradverify says of a gradient, and the sentence that tells the user what to do about it."""

from __future__ import annotations

from gradverify.word import Word


class Verdict(Word):
    """The judgement of one gradient. A string, so that it prints and serialises as its value.

    Attributes:
        sentence: what the user reads; where a remedy exists, it is named.
        fails: whether a row with this verdict fails its report.
    """

    sentence: str
    fails: bool

    def __new__(cls, value: str, fails: bool, sentence: str) -> Verdict:
        """Attach the sentence and the outcome to the member."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.fails = fails
        member.sentence = sentence
        return member

    EXACT = ("exact", False, "equal to the reference, bit for bit")
    OK = ("ok", False, "differs from the reference by no more than rounding explains")
    IMPRECISE = ("imprecise", False, "right, but computed less precisely than autograd computes it")
    WRONG = ("wrong", True, "differs from the reference by more than rounding can explain")
    SHAPE = (
        "shape",
        True,
        "has another shape than its tensor: sum over the dimensions that the forward broadcast, and drop "
        "keepdim where the tensor has no such dimension",
    )
    DTYPE = ("dtype", True, "has another dtype than its tensor: compute it in the dtype of its tensor")
    MISSING = (
        "missing",
        True,
        "no gradient was assigned: derive it, list the input in `constants`, or set `partial = True` while "
        "you work on the others",
    )
    NONFINITE = ("nonfinite", True, "is infinite or not a number where the reference is finite")
    VACUOUS = (
        "vacuous",
        True,
        "the reference is zero everywhere, so any formula that gives zero passes: choose inputs that exercise "
        "it, or list it in `expected_zero` where it is zero in exact arithmetic",
    )
    INCONCLUSIVE = (
        "inconclusive",
        True,
        "differs from the reference only where one ulp of the forward values decides the gradient: choose "
        "inputs away from ties and kinks, or list it in `expected_zero` where it is zero in exact arithmetic",
    )
    DISPUTED = (
        "disputed",
        True,
        "the oracles contradict each other: one of them is at fault, or a function of the forward whose derivative it "
        "takes on trust",
    )
    SUBGRADIENT = (
        "subgradient",
        False,
        "the function has a kink here, and the gradient lies between the slopes of its two sides",
    )
    KNOWN = ("known", False, "fails, as `known` says it does")
    GIVEN = ("given", False, "not derived: the reference was handed out in its place")


class Origin(Word):
    """Where the error of a wrong gradient comes from."""

    INTRODUCED = "introduced"  # its own statement is wrong: right upstream gradients do not mend it
    INHERITED = "inherited"  # its own statement is right, what it was given was not


class Observance(Word):
    """How a candidate stands to one rule of the contract of a backward."""

    KEPT = "kept"
    NOTED = "noted"  # not as it could be, and no reason to fail
    REFUSED = "refused"  # the candidate raises a clear error where it could have been silently wrong
    INAPPLICABLE = "does not apply"
    BROKEN = "broken"
