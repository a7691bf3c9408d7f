"""The fixture that every test of the plugin starts from."""

import pytest
import torch

# pytester forgets what a session in this process imports, and torch cannot be imported twice: everything is
# imported before. torch itself imports more, sympy among it, where a gradient is asked for the first time.
import gradverify.pytest_fixture
import gradverify.pytest_items
import gradverify.pytest_section
import gradverify.render.json  # noqa: F401  # imported for the reason above, like the three others
from plugin.project import Project

_x = torch.ones(2, requires_grad=True)
torch.autograd.grad([2 * _x], [_x], [torch.ones(2)])


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """An empty project."""
    return Project(pytester)
