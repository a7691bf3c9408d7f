"""The graph of a case: what autograd built, with the names and the verdicts of the report."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from gradverify import Case, topology
from gradverify.configuration import Configuration, configurations
from gradverify.examination import examine, sketch
from gradverify.function_case import FunctionCase
from gradverify.graph import Graph, Kind, Node
from gradverify.importer import load_file
from gradverify.loader import cases_of
from gradverify.verdict import Origin, Verdict

CASES = Path(__file__).parents[1] / "cases"
DETAILED = Configuration("float32", "cpu", 111111, detailed=True)


def graph_of(case: Case) -> Graph:
    graph = examine(case, dataclasses.replace(configurations(case)[0], detailed=True)).graph
    assert graph is not None
    return graph


def named(graph: Graph) -> dict[str, Node]:
    return {node.label: node for node in graph.nodes if node.kind is not Kind.OPERATION}


def paths(graph: Graph, *, inherited: bool = False) -> set[str]:
    """The edges by what is written in their nodes: "x > @"."""
    labels = {node.id: node.label for node in graph.nodes}
    return {f"{labels[one.source]} > {labels[one.target]}" for one in graph.edges if one.inherited or not inherited}


class Square(Case):
    __test__ = False  # the tests run it

    def inputs(self, generator):
        return {"x": torch.tensor([3.0, 4.0])}

    def forward(self, t):
        t.y = t.x * t.x
        t.loss = -t.y.sum()
        return t.loss

    def backward(self, t, d):
        d.y = -d.loss.expand_as(t.y)
        d.x = 2 * t.x * d.y


class Wrong(Square):
    def backward(self, t, d):
        d.y = d.loss.expand_as(t.y)
        d.x = 2 * t.x * d.y


def test_the_graph_leads_from_the_inputs_to_the_loss():
    """Named tensors with the operations between them, each after what it uses."""
    graph = graph_of(Square())
    assert [(node.label, node.kind.value) for node in graph.nodes] == [
        ("x", "input"),
        ("×", "operation"),
        ("y", "tensor"),
        ("sum", "operation"),
        ("neg", "operation"),
        ("loss", "output"),
    ]
    assert paths(graph) == {"x > ×", "× > y", "y > sum", "sum > neg", "neg > loss"}


def test_a_tensor_shows_its_shape_and_two_norms():
    """Those of the value and of autograd's gradient."""
    x = named(graph_of(Square()))["x"]
    assert (x.shape, x.value_norm, x.gradient_norm) == ((2,), 5.0, 10.0)
    assert (x.verdict, x.passed, x.error_norm, x.file) == (Verdict.EXACT, True, None, None)


@pytest.mark.parametrize(
    ("values", "norm"),
    [
        ([3e200, 4e200], 5e200),
        ([3e-200, 4e-200], 5e-200),
        ([0.0, 0.0], 0.0),
        ([math.inf, 1.0], math.inf),
        ([math.nan, 1.0], math.nan),
        ([math.nan, math.inf], math.nan),
        (7.0, 7.0),
    ],
)
def test_norms_of_extreme_numbers(values, norm):
    """Their squares fit in no float64."""
    found = topology._norms({"x": torch.tensor(values, dtype=torch.float64)})["x"]
    assert found == pytest.approx(norm, nan_ok=True)


def test_a_wrong_gradient_shows_its_error_and_its_line():
    """The difference between the two gradients, which for a sign is twice as long as either."""
    nodes = named(graph_of(Wrong()))
    assert (nodes["y"].origin, nodes["x"].origin) == (Origin.INTRODUCED, Origin.INHERITED)
    assert nodes["y"].error_norm == pytest.approx(2 * math.sqrt(2))
    assert nodes["x"].error_norm == 20.0
    assert nodes["y"].file == __file__
    assert nodes["y"].line == Wrong.backward.__code__.co_firstlineno + 1


def test_the_inherited_path_starts_at_the_error():
    """And leads to the inputs, through the operations; what lies behind the error has nothing to do with it."""
    assert paths(graph_of(Wrong()), inherited=True) == {"x > ×", "× > y"}
    assert paths(graph_of(Square()), inherited=True) == set()


def test_the_inherited_path_of_the_three_layer_net():
    """The planted mistake drops a contribution to h3, and every parameter inherits it."""
    case = cases_of(load_file(CASES / "three_layer_net.py"))[0]

    class Planted(type(case)):
        def backward(self, t, d):
            d.logits = -d.loss.expand_as(t.logits) / len(t.logits)
            d.outputs = d.logits / t.outputs
            d.probs = torch.zeros_like(t.probs).scatter(1, t.probs.argmax(1, keepdim=True), d.outputs)
            d.h3_sum_inv = (t.h3 * d.probs).sum(1, keepdim=True)
            d.h3_sum = -(t.h3_sum**-2) * d.h3_sum_inv
            d.h3 = t.h3_sum_inv * d.probs
            d.h3_preact = t.h3 * d.h3
            d.h2 = d.h3_preact @ t.W3.T
            d.W3 = t.h2.T @ d.h3_preact
            d.b3 = d.h3_preact.sum(0)

    settings = dataclasses.replace(DETAILED.settings, partial=True)
    graph = examine(Planted(samples=10), dataclasses.replace(DETAILED, settings=settings)).graph
    assert named(graph)["h3"].origin is Origin.INTRODUCED
    assert paths(graph, inherited=True) == {
        "h2 > @",
        "W3 > @",
        "@ > +",
        "b3 > +",
        "+ > h3_preact",
        "h3_preact > exp",
        "exp > h3",
    }


def test_a_path_that_skips_what_is_right_is_not_invented(monkeypatch):
    """The twin: were every edge behind an erroneous tensor marked, the loss would seem to have passed it on."""

    def planted(nodes, edges):
        wrong = {node.id for node in nodes if node.origin is not None}
        return [dataclasses.replace(edge, inherited=edge.source in wrong) for edge in edges.values()]

    monkeypatch.setattr(topology, "_inherited", planted)
    assert "y > sum" in paths(graph_of(Wrong()), inherited=True)


class Several(Case):
    """Two outputs, an operation with two results, a second name, a tensor that leads nowhere, and constants."""

    __test__ = False
    constants = {"c"}

    def inputs(self, generator):
        return {"x": torch.arange(1.0, 7.0), "c": torch.ones(3), "mask": torch.tensor([True])}

    def forward(self, t):
        t.a, t.b = t.x.split(3)
        t.skip = t.x
        t.p = (t.a**2).sum()
        t.q = t.b.exp().mean(0, keepdim=True) + t.skip[:1] * t.c[:1]
        t.dead = t.x * 3
        return t.p, t.q

    def backward(self, t, d):
        d.a = 2 * t.a * d.p
        d.b = t.b.exp() / 3 * d.q
        d.skip = torch.cat([d.q * t.c[:1], torch.zeros(5)])
        d.x = torch.cat([d.a, d.b]) + d.skip


def test_a_case_with_several_outputs_is_drawn_whole():
    """What leads nowhere too, for it was recorded; and what has no gradient is told."""
    graph = graph_of(Several())
    nodes = named(graph)
    assert {name for name, node in nodes.items() if node.kind is Kind.OUTPUT} == {"p", "q"}
    assert {"split over 0 > a", "split over 0 > b", "x > split over 0", "× > dead"} <= paths(graph)
    assert [label for label in paths(graph) if label.endswith("> skip")] == ["view > skip"]
    assert graph.omitted == ("c", "mask")
    assert "pow 2" in {node.label for node in graph.nodes}
    assert "mean over 0" in {node.label for node in graph.nodes}


def test_a_report_has_no_graph_unless_details_are_asked_for():
    """It costs a forward and a backward."""
    assert examine(Square(), dataclasses.replace(DETAILED, detailed=False)).graph is None


class Unnamed(Square):
    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.weight = torch.nn.Parameter(torch.tensor([2.0, 1.0]))

    def forward(self, t):
        t.y = t.x * self.weight
        t.loss = -t.y.sum()
        return t.loss

    def backward(self, t, d):
        d.y = -d.loss.expand_as(t.y)
        d.x = self.weight * d.y


def test_a_parameter_that_has_no_name_is_an_input():
    """It is part of the computation, though no gradient of it is judged."""
    graph = graph_of(Unnamed())
    assert named(graph)["unnamed"].kind is Kind.INPUT
    assert "unnamed > ×" in paths(graph)


def test_a_gradient_that_fails_in_the_working_precision_shows_the_error_there():
    """In float64 it is right, and its error there would explain nothing."""

    class Coarse(Square):
        def backward(self, t, d):
            d.y = -d.loss.expand_as(t.y)
            d.x = (2 * t.x * d.y + 1e5) - 1e5 if t.x.dtype == torch.float32 else 2 * t.x * d.y

        def inputs(self, generator):
            return {"x": torch.tensor([0.3, 0.7])}

    x = named(graph_of(Coarse()))["x"]
    assert x.passed is False
    assert x.error_norm > 1e-4


class Attention(FunctionCase):
    __test__ = False

    def inputs(self, generator):
        return {name: torch.randn(2, 4, 5, 8, generator=generator) for name in "qkv"}

    def candidate(self, q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    def reference(self, q, k, v):
        return torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v


def test_of_a_candidate_the_reference_is_drawn():
    """It says how the output is computed; what torch puts around a batched product is left out."""
    graph = graph_of(Attention())
    assert paths(graph) == {
        "q > @",
        "k > transpose",
        "transpose > @",
        "@ > ÷",
        "÷ > softmax over -1",
        "softmax over -1 > @",
        "v > @",
        "@ > output",
    }
    assert all(named(graph)[name].verdict is not None for name in ("q", "k", "v", "output"))


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return 2 * x

    @staticmethod
    def backward(_, upstream):
        return 2 * upstream


class Halving(Doubling):
    @staticmethod
    def backward(_, upstream):
        return upstream / 2


def test_a_wrong_candidate_shows_its_error():
    """Against the reference, for the same upstream gradient."""

    class Slip(FunctionCase):
        def inputs(self, generator):
            return {"x": torch.ones(3), "n": 3}

        def reference(self, x, n):
            return n * x

        def candidate(self, x, n):
            return Halving.apply(x) * n / 2

    graph = graph_of(Slip())
    x = named(graph)["x"]
    assert x.verdict is Verdict.WRONG
    assert x.error_norm == pytest.approx(0.75 * x.gradient_norm)
    assert paths(graph) == {"x > ×", "× > output"}
    assert graph.omitted == ()  # a number is no tensor


def test_of_a_candidate_alone_it_is_drawn_itself():
    """A Function of the user's by its name."""

    class Alone(FunctionCase):
        candidate = Doubling.apply

        def inputs(self, generator):
            return {"x": torch.randn(3, generator=generator)}

    assert paths(graph_of(Alone())) == {"x > Doubling", "Doubling > output"}


def test_an_output_that_is_an_input_has_two_names():
    """The identity is a function too."""

    class Identity(FunctionCase):
        def inputs(self, generator):
            return {"x": torch.randn(3, generator=generator)}

        def candidate(self, x):
            return x

        def reference(self, x):
            return x

    assert paths(graph_of(Identity())) == {"x > output"}


def test_a_sketch_needs_no_backward():
    """It shows the forward and autograd's gradients, and no verdict."""

    class Raising(Square):
        def backward(self, t, d):
            raise ValueError("not yet")

    assert examine(Raising(), DETAILED).graph is None
    nodes = named(sketch(Raising(), DETAILED))
    assert nodes["x"].gradient_norm == 10.0
    assert nodes["x"].verdict is None


def test_a_graph_that_cannot_be_had_leaves_the_verdicts():
    """A forward that only works once more often than it is looked at, say."""
    runs = []

    class Fickle(Square):
        def forward(self, t):
            runs.append(1)
            return super().forward(t)

    examine(Fickle(), dataclasses.replace(DETAILED, detailed=False))
    enough = len(runs)

    class Broken(Square):
        def forward(self, t):
            runs.append(1)
            if len(runs) > 2 * enough:
                raise ValueError("tired")
            return super().forward(t)

    report = examine(Broken(), DETAILED)
    assert report.passed
    assert report.graph is None
    assert "there is no graph: forward raised ValueError" in report.notes[0]


@pytest.mark.parametrize("case", [Square(), Wrong(), Several(), Attention()], ids=lambda one: type(one).__name__)
def test_a_graph_has_no_defect(case):
    """Each node comes after those that it uses."""
    assert graph_of(case).defect is None


def test_a_thousand_steps_do_not_recurse():
    """The graph of a long loop is as deep as the loop is long."""

    class Long(Case):
        def inputs(self, generator):
            return {"x": torch.ones(2)}

        def forward(self, t):
            h = t.x
            for step in range(3000):
                h = h * 1.0
                if step % 3 == 0:
                    t[f"h{step}"] = h
            t.loss = h.sum()
            return t.loss

        def backward(self, t, d):
            d.x = d.loss.expand_as(t.x)

    graph = sketch(Long(), DETAILED)
    assert len([node for node in graph.nodes if node.label.startswith("h")]) == 1000


def test_a_huge_graph_is_kept_folded():
    """A report is written down."""

    class Huge(Case):
        def inputs(self, generator):
            return {"x": torch.ones(2)}

        def forward(self, t):
            h = t.x
            for _ in range(topology._LARGEST // 2 + 10):
                h = (h + t.x).neg()
            t.loss = h.sum()
            return t.loss

        def backward(self, t, d): ...

    assert len(sketch(Huge(), DETAILED).nodes) <= topology._LARGEST
