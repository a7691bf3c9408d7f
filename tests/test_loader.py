"""Which cases a module and a target hold, that each is found once, and that one broken never hides the others."""

import sys
from importlib.metadata import EntryPoint

import pytest

from conftest import EMPTY_CASE
from gradverify import targets
from gradverify.case import Case
from gradverify.errors import InvalidCase, UsageError
from gradverify.importer import load_file
from gradverify.loader import cases_of, find, is_collected, location_of

A = EMPTY_CASE.format(name="A")


def found(*names):
    return [repr(one.case) for one in find(names).found]


# A module, and the cases that it holds.
RULES = {
    "a class": (A, ["A(n=3)"]),
    "two, in the order of their definition": (EMPTY_CASE.format(name="B") + A, ["B(n=3)", "A(n=3)"]),
    "an alias is no second case": (A + "Alias = A\n", ["A(n=3)"]),
    "an imported class": ("from b import A\n", []),
    "a class that is no test": (A + "    __test__ = False\n", []),
    "its children are none either, as pytest has it": (A + "    __test__ = False\nclass B(A):\n    pass\n", []),
    "unless they say so": (A + "    __test__ = False\nclass B(A):\n    __test__ = True\n", ["B(n=3)"]),
    "an abstract base": (
        "from gradverify import Case\nclass Base(Case):\n    def inputs(self, generator): ...\n"
        "class B(Base):\n    def forward(self, t): ...\n    def backward(self, t, d): ...\n",
        ["B()"],
    ),
    "Case itself": ("from gradverify import Case\n", []),
    "a class under another name": (A + "B = A\ndel A\n", []),
    "an instance in CASES, besides the class": (A + "CASES = [A(n=5)]\n", ["A(n=3)", "A(n=5)"]),
    "a class in CASES is not run twice": (A + "CASES = [A, A(n=5), A]\n", ["A(n=3)", "A(n=5)"]),
    "imported ones through CASES": ("from b import A\nCASES = [A, A(n=5)]\n", ["A(n=3)", "A(n=5)"]),
    "a class that is no test, through CASES": (A + "    __test__ = False\nCASES = (A(n=5),)\n", ["A(n=5)"]),
    "somebody else's CASES": (A + "CASES = [(1, 2), 'three']\n", ["A(n=3)"]),
    "a mapping called CASES": (A + "CASES = {'a': A}\n", ["A(n=3)"]),
    "an empty CASES": (A + "CASES = []\n", ["A(n=3)"]),
}


@pytest.mark.parametrize("rule", RULES)
def test_what_a_module_holds(write, monkeypatch, rule):
    source, cases = RULES[rule]
    folder = write("b.py", A).parent
    monkeypatch.syspath_prepend(str(folder))
    file = write("a.py", source)
    assert [repr(case) for case in cases_of(load_file(file))] == cases
    assert found("a.py") == cases


def test_the_rule_for_one_class(write):
    module = load_file(write("a.py", A))
    assert is_collected(module.A, module.__name__)
    assert not is_collected(module.A, "another.module")
    assert not is_collected(Case, Case.__module__)
    assert not is_collected(module, module.__name__)
    assert not is_collected(int, "builtins")


# A module, what its CASES is told, and on which line.
WRONG = {
    "an entry that is no case": (
        "CASES = [A, 3]\n",
        "a.py::int",
        "CASES lists 3; expected case classes or cases, such as Relu or Relu(samples=3)",
        9,
    ),
    "an entry whose text is long": ("CASES = [A, list(range(10_000))]\n", "a.py::list", "CASES lists a list; ", 9),
    "a class that is no case": ("CASES: list = [A, int]\n", "a.py::int", "CASES lists the class int; ", 9),
    "a case instead of a list": ("CASES = A\n", "a.py", "CASES is the class A; expected a list: CASES = [...]", 9),
    "an unfinished case": (
        "class B(Case):\n    def forward(self, t): ...\nCASES = [B]\n",
        "a.py::B",
        "B does not define backward and inputs",
        9,
    ),
    "a class that asks for arguments": (
        "class B(A):\n    def __init__(self, m): ...\n",
        "a.py::B",
        "B() raised TypeError: B.__init__() missing 1 required positional argument: 'm'; give every argument a "
        "default, or set `__test__ = False` on the class and list a case in CASES, such as B(...)",
        9,
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_a_module_is_told_with_its_line(write, kind):
    source, name, message, line = WRONG[kind]
    file = write("a.py", A + source)
    (broken,) = find(["a.py"]).broken
    assert broken.name == name
    assert broken.failure.message.startswith(message)
    assert (broken.failure.kind, broken.failure.file, broken.failure.line) == ("InvalidCase", str(file), line)
    with pytest.raises(InvalidCase) as raised:
        cases_of(load_file(file))
    assert raised.value.message == broken.failure.message


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "a case instead of a list"])
def test_one_wrong_case_does_not_hide_the_others_of_its_module(write, kind):
    write("a.py", A + WRONG[kind][0])
    assert found("a.py") == ["A(n=3)"]


def test_one_broken_file_does_not_hide_the_others(write):
    write("cases/a.py")
    write("cases/b.py", "1 / 0")
    write("cases/c.py")
    findings = find(["cases"])
    assert [repr(one.case) for one in findings.found] == ["A(n=3)", "C(n=3)"]
    assert [(one.name, one.failure.kind) for one in findings.broken] == [("cases/b.py", "ZeroDivisionError")]


@pytest.mark.parametrize("source", ["import sys; sys.exit()", "import pytest; pytest.skip(allow_module_level=True)"])
def test_a_file_cannot_end_the_search(write, source):
    write("a.py", source)
    write("b.py")
    findings = find(["a.py", "b.py"])
    assert (len(findings.found), len(findings.broken)) == (1, 1)


def test_only_the_user_can_end_the_search(write):
    write("a.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        find(["a.py"])


def test_a_case_is_found_once_however_many_targets_lead_to_it(write):
    write("cases/a.py", A + "CASES = [A(n=5)]\n")
    write("cases/broken.py", "1 / 0")
    findings = find(["cases/a.py", "cases", "cases/a.py::A", "cases/broken.py"])
    assert [repr(one.case) for one in findings.found] == ["A(n=3)", "A(n=5)"]
    assert len(findings.broken) == 1


def test_a_case_knows_where_it_is_defined(write):
    file = write("a.py", A)
    ((one,),) = (find(["a.py"]).found,)
    assert (one.location.file, one.location.line, one.location.function) == (str(file), 4, "A")


def test_a_case_without_source_is_where_its_forward_is():
    namespace = {"__name__": "nowhere"}
    exec(compile(A, "<prompt>", "exec"), namespace)
    where = location_of(namespace["A"])
    assert (where.file, where.line) == ("<prompt>", 7)


@pytest.mark.parametrize(
    ("target", "cases"),
    [
        ("cases/a.py::A", ["A(n=3)", "A(n=5)"]),
        ("cases/a.py::B", ["B(n=3)"]),
        ("cases::B", ["B(n=3)"]),
        ("cases::C", ["C(n=3)"]),
    ],
)
def test_a_case_is_selected_by_the_name_of_its_class(write, target, cases):
    write("cases/a.py", A + "class B(A): ...\nCASES = [A(n=5)]\n")
    write("cases/c.py")
    assert found(target) == cases


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cases/linear.py::Linaer", "cases/linear.py holds no case 'Linaer'; did you mean 'Linear'"),
        ("cases::Relu", "cases holds no case 'Relu'; known names: Linear"),
        ("cases/relu.py::Relu", "cases/relu.py does not exist"),
    ],
)
def test_a_case_that_a_target_does_not_hold_is_told_the_nearest(write, target, message):
    write("cases/linear.py")
    with pytest.raises(UsageError, match=message):
        find([target])


def test_a_case_in_a_file_that_does_not_import_is_not_called_missing(write):
    write("a.py", "1 / 0")
    findings = find(["a.py::A"])
    assert findings.broken[0].failure.kind == "ZeroDivisionError"


def test_nothing_is_imported_if_one_target_is_misspelt(write):
    write("a.py", "raise AssertionError('imported')")
    with pytest.raises(UsageError, match=r"^b\.py does not exist"):
        find(["a.py", "b.py"])


def test_a_class_that_lacks_a_method_is_pointed_out(write):
    """Who writes `backwards` believes that the case is verified."""
    write("a.py", A.replace("def backward(", "def backwards("))
    findings = find(["a.py"])
    assert findings.found == ()
    assert findings.unfinished == ("A at a.py:4 is not run: it does not define backward",)


def test_a_base_class_is_not_pointed_out(write):
    write("a.py", RULES["an abstract base"][0])
    assert find(["a.py"]).unfinished == ()
    write("b.py", A.replace("def backward(", "def backwards(") + "    __test__ = False\n")
    assert find(["b.py"]).unfinished == ()


@pytest.mark.parametrize(
    ("offered", "cases"),
    [
        ("provider", ["A(n=3)"]),
        ("provider:A", ["A(n=3)"]),
        ("provider:more", ["A(n=3)", "A(n=5)"]),
    ],
)
def test_an_installed_package_offers_a_module_a_class_or_a_list(write, monkeypatch, offered, cases):
    folder = write("installed/provider.py", A + "more = [A, A(n=5)]\n").parent
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(targets, "entry_points", lambda group: [EntryPoint("kernels", offered, group)])
    assert found("kernels") == cases


@pytest.mark.parametrize("offered", ["provider:nothing", "nonexistent", "provider:number"])
def test_an_installed_package_that_offers_something_else_is_broken(write, monkeypatch, offered):
    folder = write("installed/provider.py", A + "number = 3\n").parent
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(targets, "entry_points", lambda group: [EntryPoint("kernels", offered, group)])
    findings = find(["kernels"])
    assert findings.found == ()
    assert len(findings.broken) == 1


def test_the_search_path_stays_as_it_was(write):
    write("cases/a.py")
    write("cases/package/__init__.py", "")
    write("cases/package/b.py")
    before = list(sys.path)
    assert found("cases") == ["A(n=3)", "B(n=3)"]
    assert sys.path == before
