"""Introduced or inherited: one mistake is one introduced row, however the backward is written."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

from gradverify import Case, verify
from gradverify.verdict import Origin, Verdict


def origins(report):
    return {row.name: row.origin for row in report.rows if row.origin is not None}


def introduced(report):
    return [row.name for row in report.rows if row.origin is Origin.INTRODUCED]


class Chain(Case):
    """L = mean((sum_j tanh(x w)_j)^2): six gradients in a row."""

    __test__ = False

    n: int = 5

    def inputs(self, generator):
        return {"x": torch.randn(self.n, 4, generator=generator), "w": torch.randn(4, 3, generator=generator)}

    def forward(self, t):
        t.a = t.x @ t.w
        t.h = torch.tanh(t.a)
        t.s = t.h.sum(1)
        t.q = t.s**2
        t.loss = t.q.mean()
        return t.loss

    def backward(self, t, d):
        d.q = d.loss.expand_as(t.q) / self.n
        d.s = 2 * t.s * d.q
        d.h = d.s[:, None].expand_as(t.h)
        d.a = d.h * (1 - t.h**2)
        d.x = d.a @ t.w.T
        d.w = t.x.T @ d.a


class ThroughNames(Chain):
    def backward(self, t, d):
        d.q = d.loss.expand_as(t.q) / self.n
        d.s = -2 * t.s * d.q
        d.h = d.s[:, None].expand_as(t.h)
        d.a = d.h * (1 - t.h**2)
        d.x = d.a @ t.w.T
        d.w = t.x.T @ d.a


class ThroughLocals(Chain):
    """d is written and never read."""

    def backward(self, t, d):
        dq = torch.ones_like(t.q) / self.n
        d.q = dq
        ds = -2 * t.s * dq
        d.s = ds
        dh = ds[:, None].expand_as(t.h)
        d.h = dh
        da = dh * (1 - t.h**2)
        d.a = da
        d.x = da @ t.w.T
        d.w = t.x.T @ da


class ThroughHelper(Chain):
    def backward(self, t, d):
        def assign(name, value):
            d[name] = value

        assign("q", d.loss.expand_as(t.q) / self.n)
        assign("s", -2 * t.s * d.q)
        assign("h", d.s[:, None].expand_as(t.h))
        assign("a", d.h * (1 - t.h**2))
        assign("x", d.a @ t.w.T)
        assign("w", t.x.T @ d.a)


@pytest.mark.parametrize("case", [ThroughNames, ThroughLocals, ThroughHelper])
def test_one_sign_error_is_one_introduced_row(case):
    """Whether the gradients are read through d, carried in locals, or assigned in a helper."""
    report = verify(case)
    assert origins(report) == {
        "s": Origin.INTRODUCED,
        "h": Origin.INHERITED,
        "a": Origin.INHERITED,
        "x": Origin.INHERITED,
        "w": Origin.INHERITED,
    }
    assert any("inherits the error of d.s" in hint for hint in report["w"].hints)
    assert report.failed_rows[0].name == "s"
    assert introduced(verify(Chain)) == []


class Two(Chain):
    def backward(self, t, d):
        d.q = d.loss.expand_as(t.q) / self.n
        d.s = -2 * t.s * d.q
        d.h = d.s[:, None].expand_as(t.h)
        d.a = d.h * (1 - t.h)
        d.x = d.a @ t.w.T
        d.w = t.x.T @ d.a


def test_several_mistakes_are_named_in_one_run():
    """The second is found although what reaches it is wrong too."""
    assert introduced(verify(Two)) == ["s", "a"]


class Masked(Chain):
    def backward(self, t, d):
        d.q = d.loss.expand_as(t.q) / self.n
        d.s = -2 * t.s * d.q
        d.h = -d.s[:, None].expand_as(t.h)
        d.a = d.h * (1 - t.h**2)
        d.x = d.a @ t.w.T
        d.w = t.x.T @ d.a


def test_an_error_that_undoes_another_is_told():
    """Right as a whole, wrong by itself: it would break as soon as the first is mended."""
    report = verify(Masked)
    assert introduced(report) == ["s", "h"]
    assert report["h"].verdict == Verdict.WRONG
    assert any("masked by an earlier error" in hint for hint in report["h"].hints)
    assert report["a"].passed


class Recurrent(Case):
    """h_i = tanh(h_{i-1} W + x_i U) over 20 steps, its backward carried in locals."""

    __test__ = False

    steps: int = 20
    wrong_at: int = -1

    def inputs(self, generator):
        return {
            "x": torch.randn(self.steps, 3, generator=generator),
            "W": torch.randn(4, 4, generator=generator) / 2,
            "U": torch.randn(3, 4, generator=generator),
        }

    def forward(self, t):
        h = torch.zeros(4)
        for i in range(self.steps):
            t[f"a{i}"] = h @ t.W + t.x[i] @ t.U
            t[f"h{i}"] = h = torch.tanh(t[f"a{i}"])
        t.loss = (h**2).sum()
        return t.loss

    def backward(self, t, d):
        dh = 2 * t[f"h{self.steps - 1}"] * d.loss
        dW, dU, dx = torch.zeros_like(t.W), torch.zeros_like(t.U), torch.zeros_like(t.x)
        for i in reversed(range(self.steps)):
            d[f"h{i}"] = dh
            da = dh * (1 - t[f"h{i}"] ** 2)
            if i == self.wrong_at:
                da = -da
            d[f"a{i}"] = da
            dW += torch.outer(t[f"h{i - 1}"] if i else torch.zeros(4), da)
            dU += torch.outer(t.x[i], da)
            dx[i] = da @ t.U.T
            dh = da @ t.W.T
        d.W, d.U, d.x = dW, dU, dx


@pytest.mark.parametrize("step", [19, 12, 0])
def test_a_recurrent_net_carried_in_locals(step):
    """One sign error at one step, one introduced row; all else inherits."""
    assert introduced(verify(Recurrent(wrong_at=step))) == [f"a{step}"]
    assert verify(Recurrent()).passed


class Embedding(Case):
    """e = E[i]; the gradient of E is finished in place, in the last statement."""

    __test__ = False

    def inputs(self, generator):
        return {"E": torch.randn(6, 3, generator=generator), "i": torch.tensor([0, 2, 2, 5])}

    def forward(self, t):
        t.e = t.E[t.i]
        t.loss = (t.e**2).sum()
        return t.loss

    def backward(self, t, d):
        d.e = 2 * t.e * d.loss
        d.E = torch.zeros_like(t.E)
        d.E.index_add_(0, t.i, d.e)


class EmbeddingOverwritten(Embedding):
    def backward(self, t, d):
        d.e = 2 * t.e * d.loss
        d.E = torch.zeros_like(t.E)
        d.E[t.i] = d.e


class EmbeddingUpstream(Embedding):
    def backward(self, t, d):
        d.e = 3 * t.e * d.loss
        d.E = torch.zeros_like(t.E)
        d.E.index_add_(0, t.i, d.e)


def test_a_gradient_finished_in_place():
    """Right is right; an error in the last change is introduced there; an error before is inherited."""
    assert verify(Embedding).passed
    assert introduced(verify(EmbeddingOverwritten)) == ["E"]
    assert "d.E[t.i] = d.e" in verify(EmbeddingOverwritten)["E"].source
    assert origins(verify(EmbeddingUpstream)) == {"e": Origin.INTRODUCED, "E": Origin.INHERITED}


class Accumulated(Case):
    """x is used three times, and its gradient is accumulated."""

    __test__ = False

    def inputs(self, generator):
        return {"x": torch.randn(7, generator=generator)}

    def forward(self, t):
        t.a = t.x.sin()
        t.b = t.x**2
        t.c = t.a * t.b + t.x
        return t.c

    def backward(self, t, d):
        d.x = d.c
        d.a = d.c * t.b
        d.x = d.x + d.a * t.x.cos()
        d.b = d.c * t.a
        d.x += 2 * t.x * d.b


class AccumulatedWrong(Accumulated):
    def backward(self, t, d):
        d.x = d.c.clone()
        d.a = d.c * t.b
        d.x -= d.a * t.x.cos()
        d.b = d.c * t.a
        d.x += 2 * t.x * d.b


class AliasedCotangent(Accumulated):
    """d.x is d.c: adding to it in place changes the cotangent, and with it d.a and d.b."""

    def backward(self, t, d):
        d.x = d.c
        d.x += d.c * t.b * t.x.cos()
        d.b = d.c * t.a
        d.a = d.c * t.b
        d.x += 2 * t.x * d.b


def test_accumulation_is_judged_at_its_last_write():
    """A wrong share is introduced in x, and the others stay right."""
    assert verify(Accumulated).passed
    assert introduced(verify(AccumulatedWrong)) == ["x"]


def test_an_in_place_change_through_an_alias_is_caught():
    """The gradients computed from the spoilt cotangent are wrong, and at least one line is accused."""
    report = verify(AliasedCotangent)
    assert not report.passed
    assert introduced(report)


class MaskedAssignment(Case):
    """y = max(0, x) with its gradient written in two steps."""

    __test__ = False

    def inputs(self, generator):
        return {"x": torch.randn(8, generator=generator)}

    def forward(self, t):
        t.y = torch.relu(t.x)
        t.z = t.y**2
        return t.z

    def backward(self, t, d):
        d.y = 2 * t.y * d.z
        d.x = d.y.clone()
        d.x[t.x <= 0] = 0


class MaskedAssignmentWrong(MaskedAssignment):
    def backward(self, t, d):
        d.y = 2 * t.y.exp() * d.z
        d.x = d.y.clone()
        d.x[t.x >= 0] = 0


def test_masked_assignment():
    """Both statements are wrong, and both are accused."""
    assert verify(MaskedAssignment).passed
    assert introduced(verify(MaskedAssignmentWrong)) == ["y", "x"]


class OtherPath(Chain):
    """The path depends on the values of a gradient, so that mending it changes the path."""

    def backward(self, t, d):
        d.q = d.loss.expand_as(t.q) / self.n
        d.s = -2 * t.s * d.q
        if (d.s * t.s).sum() < 0:
            d.h = d.s[:, None].expand_as(t.h)
        else:
            d.h = d.s[:, None] * torch.ones_like(t.h)
        d.a = d.h * (1 - t.h**2)
        d.x = d.a @ t.w.T
        d.w = t.x.T @ d.a


def test_a_path_that_changes_is_told():
    """What was seen before is judged; after it no line is accused."""
    report = verify(OtherPath)
    assert introduced(report) == ["s"]
    assert report["a"].origin is None
    assert any("another path" in hint for hint in report["a"].hints)


class Expanded(Chain):
    """d.h is expanded, so that it cannot be overwritten, and its local is used on."""

    def backward(self, t, d):
        d.q = d.loss.expand_as(t.q) / self.n
        d.s = 2 * t.s * d.q
        dh = d.s[:, None].expand_as(t.h)
        dh = (2 * dh[:, :1]).expand_as(t.h)
        d.h = dh
        d.a = dh * (1 - t.h**2)
        d.x = d.a @ t.w.T
        d.w = t.x.T @ d.a


def test_what_cannot_be_separated_is_not_accused():
    """d.h is wrong and could not be mended in the local: d.a may inherit or not, and the row says so."""
    report = verify(Expanded)
    assert introduced(report) == ["h"]
    assert report["a"].origin is None
    assert any("cannot be separated" in hint for hint in report["a"].hints)


class ShapeOff(Chain):
    def backward(self, t, d):
        d.q = d.loss.expand_as(t.q) / self.n
        d.s = (2 * t.s * d.q)[:, None]
        d.h = d.s.expand_as(t.h)
        d.a = d.h * (1 - t.h**2)
        d.x = d.a @ t.w.T
        d.w = t.x.T @ d.a


def test_a_wrong_shape_is_introduced():
    """And what it feeds, right by broadcasting, is left alone."""
    assert introduced(verify(ShapeOff)) == ["s"]


def test_tensors_of_the_users_come_back_unchanged():
    """The replay overwrites gradients in place; one that is the user's own table gets its values back."""
    table = torch.full((4,), 3.0, dtype=torch.float64)

    class Table(Case):
        dtypes = "float64"

        def inputs(self, generator):
            return {"x": torch.randn(4, generator=generator)}

        def forward(self, t):
            t.y = (2 * t.x).sum()
            return t.y

        def backward(self, t, d):
            d.x = table

    assert introduced(verify(Table)) == ["x"]
    assert (table == 3.0).all()


def test_a_passing_run_imports_neither_replay_nor_diagnosis(tmp_path):
    """They cost a run that passes nothing."""
    script = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        from test_replay import Chain, ThroughNames
        from gradverify import verify
        later = {"gradverify.replay", "gradverify.origin", "gradverify.diagnosis"}
        before = later & set(sys.modules)
        assert verify(Chain).passed
        assert not before and not later & set(sys.modules), sys.modules.keys() & later
        assert not verify(ThroughNames).passed
        assert later <= set(sys.modules)
        """
    )
    from pathlib import Path

    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class Reused(Case):
    """y = x * w, L = sum(tanh(y)); the storage of d.act becomes that of d.y, as people save memory."""

    __test__ = False

    def inputs(self, generator):
        return {name: torch.randn(6, generator=generator) for name in ("x", "w")}

    def forward(self, t):
        t.y = t.x * t.w
        t.act = torch.tanh(t.y)
        t.out = t.act**2
        return t.out

    def backward(self, t, d):
        d.act = 2 * t.act * d.out
        d.y = d.act.mul_(1 - t.act**2)
        d.x = d.y * t.w
        d.w = d.y * t.x


class ReusedWrong(Reused):
    def backward(self, t, d):
        d.act = 2 * t.act * d.out
        d.y = d.act.mul_(1 - t.act)
        d.x = d.y * t.w
        d.w = d.y * t.x


@pytest.mark.parametrize(("case", "accused"), [(Reused, ["act"]), (ReusedWrong, ["act", "y"])])
def test_what_is_computed_in_the_storage_of_another_gradient_is_judged_by_itself(case, accused):
    """d.act is spoilt; d.y, of which its storage became part, is right, and is blamed only where it is not."""
    rows = verify(case).rows
    assert [row.name for row in rows if row.origin is Origin.INTRODUCED] == accused
    assert all(row.passed or row.origin for row in rows)
    assert "changed in place" in next(row.hints[0] for row in rows if row.name == "act")
