"""What gradcheck and allclose say of the planted mistakes, each of which gradverify catches."""

from __future__ import annotations

from collections import Counter

import pytest

from planted.making import Planted
from planted.right import RIGHT
from planted.rivals import Answer, ask_allclose, ask_gradcheck
from planted.wrong import PLANTED

CAUGHT, MISSED, CANNOT = Answer.CAUGHT, Answer.MISSED, Answer.CANNOT

# gradcheck, gradcheck in its fast mode, allclose of a forward and a backward from a sum.
SAY = {
    "zeros where the gradient is 1e-7": (MISSED, MISSED, CAUGHT),
    "one element of 10^6 is wrong by half": (CANNOT, MISSED, CAUGHT),
    "the tail block is dropped at size 40 but not at 8": (CAUGHT, CAUGHT, CAUGHT),
    "the saved tensor is taken for contiguous": (CAUGHT, CAUGHT, CAUGHT),
    "the last column of a strided convolution": (CAUGHT, CAUGHT, CAUGHT),
    "rolled the wrong way": (CAUGHT, CAUGHT, MISSED),
    "a running sum that runs the same way back": (CAUGHT, CAUGHT, CAUGHT),
    "an epsilon forgotten": (CAUGHT, CAUGHT, CAUGHT),
    "n for n - 1": (MISSED, MISSED, CAUGHT),
    "a mean over all elements divided by the rows": (CAUGHT, CAUGHT, CAUGHT),
    "dropout's scale forgotten": (CAUGHT, CAUGHT, CAUGHT),
    "attention's scale applied to one side only": (CAUGHT, CAUGHT, CAUGHT),
    "a loss divided by the ignored labels too": (CAUGHT, CAUGHT, CAUGHT),
    "the square of a denominator forgotten": (CAUGHT, CAUGHT, CAUGHT),
    "mean for sum over a shared parameter": (CAUGHT, CAUGHT, CAUGHT),
    "summed over one of two dimensions": (CAUGHT, CAUGHT, CAUGHT),
    "the upstream gradient of a loss ignored": (CAUGHT, CAUGHT, MISSED),
    "the upstream gradient of logsumexp ignored": (CAUGHT, CAUGHT, MISSED),
    "the upstream gradient along the wrong axis": (CAUGHT, CAUGHT, MISSED),
    "log softmax for upstream gradients that sum to one": (CAUGHT, CAUGHT, CAUGHT),
    "only the diagonal of softmax": (CAUGHT, CAUGHT, CAUGHT),
    "softmax summed over the wrong axis": (CAUGHT, CAUGHT, CAUGHT),
    "a normalised vector without its projection": (CAUGHT, CAUGHT, CAUGHT),
    "batch norm with its statistics held constant": (CAUGHT, CAUGHT, CAUGHT),
    "layer norm without the mean of the upstream": (CAUGHT, CAUGHT, CAUGHT),
    "a residual that is forgotten": (CAUGHT, CAUGHT, CAUGHT),
    "cosine similarity without one norm": (CAUGHT, CAUGHT, CAUGHT),
    "repeated rows of an embedding overwritten": (CAUGHT, CAUGHT, CAUGHT),
    "overlapping windows overwritten": (CAUGHT, CAUGHT, CAUGHT),
    "a path counted twice": (CAUGHT, CAUGHT, CAUGHT),
    "the padding row is trained": (MISSED, MISSED, CAUGHT),
    "a mask rebuilt from the output": (CAUGHT, CAUGHT, CAUGHT),
    "the causal mask forgotten on the way back": (CAUGHT, CAUGHT, CAUGHT),
    "the weight of the label used for every class": (CAUGHT, CAUGHT, CAUGHT),
    "tanh's slope from its input": (CAUGHT, CAUGHT, CAUGHT),
    "gates of an LSTM out of order": (CAUGHT, CAUGHT, CAUGHT),
    "gelu back through tanh": (CAUGHT, MISSED, CAUGHT),
    "label smoothing forgotten on the way back": (CAUGHT, CAUGHT, CAUGHT),
    "an epsilon outside of the root": (MISSED, MISSED, MISSED),
    "a truncated constant": (MISSED, MISSED, MISSED),
    "a gradient that goes through float16": (MISSED, MISSED, CAUGHT),
    "a sum over bfloat16, in float32": (CAUGHT, CAUGHT, CAUGHT),
    "a sum over bfloat16, in a kernel of bfloat16": (CANNOT, CANNOT, CAUGHT),
    "a scale that overflows in float16": (MISSED, MISSED, MISSED),
    "a sign": (CAUGHT, CAUGHT, CAUGHT),
    "|x| as if it were x": (CAUGHT, CAUGHT, CAUGHT),
    "a square weight transposed": (CAUGHT, CAUGHT, CAUGHT),
    "an image turned by a quarter": (CAUGHT, CAUGHT, MISSED),
    "None for a weight": (CAUGHT, CAUGHT, CAUGHT),
    "a product divided by a zero factor": (CAUGHT, CAUGHT, CAUGHT),
    "an average and a sum at once": (CAUGHT, CAUGHT, CAUGHT),
    "fused projections whose k and v change places": (CAUGHT, CAUGHT, MISSED),
    "a kernel of bfloat16 with softmax's diagonal": (CANNOT, CANNOT, CAUGHT),
    "a maximum one place to the right": (MISSED, MISSED, CAUGHT),
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_what_is_used_today_says_of_each_mistake(planted):
    """Asked on the inputs on which gradverify is."""
    says = (ask_gradcheck(planted, fast=False), ask_gradcheck(planted, fast=True), ask_allclose(planted))
    assert says == SAY[planted.name]


def test_how_many_of_them_are_caught():
    """The figures of the README."""
    caught = [Counter(answers)[CAUGHT] for answers in zip(*SAY.values(), strict=True)]
    assert (len(PLANTED), *caught) == (54, 43, 42, 45)


def test_allclose_raises_alarms_at_right_functions():
    """And more of them the lower the precision, where gradverify raises none; see test_right.

    How many depends on the order in which a machine sums: 6, 15 to 17 and 18 of 48 were seen.
    """
    alarms = {}
    for dtype in ("float32", "bfloat16", "float16"):
        asked = [
            Planted(
                right.name,
                "none",
                lambda *inputs, right=right: right.candidate(*inputs, **right.options),
                lambda *inputs, right=right: right.reference(*inputs, **right.options),
                right.inputs,
                frozenset(),
                dtype,
                right.constants,
            )
            for right in RIGHT
        ]
        alarms[dtype] = sum(ask_allclose(one) is CAUGHT for one in asked)
    assert alarms["float32"] >= 3
    assert min(alarms["bfloat16"], alarms["float16"]) >= 10
