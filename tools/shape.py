"""Measure the shape of the code, and fail where a bar is broken: `python -m tools.shape`.

Six bars, each of which must count 0:

* circles of files: files that import each other, straight or through others. Every import counts, also those inside
  functions and under `TYPE_CHECKING`.
* circles of packages: within each package, its sub-packages, its files and its `__init__` are taken as one node each,
  and so are the folders of the root; a circle among these nodes with a sub-package in it counts.
* files over 400 lines.
* functions with too many parameters: over 12 for compiled kernels and the functions that call them, over 8 for all
  others; `self`, `cls` and autograd's `ctx` are not counted.
* modules nobody imports: not reached from any entry point. An entry point is run as a script (`__main__`), named as a
  loader in a `registry.toml`, or registered by Blender; a string with a module's name or a script's file name reaches
  it as an import does. What tests alone reach is not reached; a helper of tests must be reached by a test.
* imports in a wrong direction: see `MAY_IMPORT` and `OUTSIDE`.

Scripts and tests import the files of their own folder by bare name (`import dress`), which is followed too.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LONGEST_FILE = 400
MOST_PARAMETERS = 8
MOST_KERNEL_PARAMETERS = 12
PRODUCT = ("ani3d_formats", "ani3dhuman", "engine", "blender_addon")
FOLDERS = (*PRODUCT, "cloth_truth", "benchmarks", "tools", "examples", "tests")

# which parts of the project each part may import beside itself; the longest matching name rules
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "ani3d_formats": (),
    "engine.wire": ("ani3d_formats",),
    "blender_addon": ("ani3d_formats", "engine.wire"),
    "ani3dhuman": ("ani3d_formats",),
    "engine": ("ani3d_formats", "ani3dhuman"),
    "cloth_truth": ("ani3d_formats", "ani3dhuman"),
    "tools": PRODUCT,
    "benchmarks": (*PRODUCT, "cloth_truth", "tools"),
    "examples": (*PRODUCT, "tools"),
    "tests": FOLDERS,
}
BLENDER = ("bpy", "bmesh", "mathutils", "addon_utils", "gpu", "gpu_extras")
# libraries beside Python's own: where a part is listed it may import these alone
OUTSIDE: dict[str, tuple[str, ...]] = {
    "ani3d_formats": ("numpy",),
    "engine.wire": ("numpy", "msgpack", "zmq"),
    "blender_addon": ("numpy", *BLENDER),
}
# the only files that may import Blender outside the add-on, the scene scripts and the tests: they run inside it
IN_BLENDER = (
    "ani3dhuman.training.in_blender", "ani3dhuman.blender.script", "cloth_truth.simulate",
    "benchmarks.avatar.in_blender", "benchmarks.playback",
    *(f"benchmarks.characters.{each}" for each in ("bodies", "in_blender", "others", "rigs", "speed")),
    "benchmarks.cloth.in_blender", "benchmarks.cloth.scene", "benchmarks.film.in_blender",
    "benchmarks.lights.in_blender", "benchmarks.formats.back_in_blender",
    "benchmarks.avatar.others_in_blender", "benchmarks.avatar.rigs",
)  # fmt: skip
_COMPILERS = {"njit", "jit", "kernel", "inlined_kernel", "parallel_kernel"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_READ = _Function | ast.Import | ast.ImportFrom | ast.Constant


@dataclass(frozen=True)
class Module:
    """A Python file: its dotted name (a package's is that of its folder), path and parsed text."""

    name: str
    path: Path
    text: str

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return [node for node in ast.walk(self.tree) if isinstance(node, _READ)]

    def imported_names(self) -> Iterator[tuple[str, str]]:
        """Yield (module, name in it or "") for each import, relative ones made absolute."""
        package = self.name if self.is_package else self.name.rpartition(".")[0]
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
                base = ".".join([*above, node.module] if node.module else above)
                yield from ((base, alias.name) for alias in node.names)

    def functions(self) -> Iterator[_Function]:
        return (node for node in self.nodes if isinstance(node, _Function))

    def strings(self) -> set[str]:
        """Its strings, of which some name files and modules that it runs."""
        return {
            str(node.value) for node in self.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }

    def is_entry_point(self) -> bool:
        """Whether it is run rather than imported: as a script, by Blender, or by pytest."""
        if self.path.name in ("__main__.py", "conftest.py") or self.path.name.startswith("test_"):
            return True
        tops = self.tree.body
        guarded = any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tops)
        return guarded or any(isinstance(node, ast.FunctionDef) and node.name == "register" for node in tops)


class Tree:
    """All Python files of a checkout, and which of them import which."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, Module] = {}
        for path in sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = Module(name, path, path.read_text(encoding="utf-8"))
        self.scripts: dict[str, list[str]] = {}  # by bare name: files in folders that are no packages
        for name, module in self.modules.items():
            if not module.is_package and name.rpartition(".")[0] not in self.modules:
                self.scripts.setdefault(name.rpartition(".")[2], []).append(name)
        self.imports: dict[str, set[str]] = {}
        self.outside: dict[str, set[str]] = {}
        for name, module in self.modules.items():
            found = [self._find(module, *each) for each in module.imported_names()]
            self.imports[name] = {each for each in found if each in self.modules} - {name}
            self.outside[name] = {each.split(".")[0] for each in found if each not in self.modules}

    def _find(self, importer: Module, base: str, name: str) -> str:
        """The module that an import loads; the name as written if it is none of the tree's."""
        beside = f"{importer.name.rpartition('.')[0]}.{base}"
        scripts = self.scripts.get(base, [])
        for candidate in (base, *sorted(scripts, key=lambda each: each != beside)):  # its own folder comes first
            for full in (f"{candidate}.{name}", candidate):
                if full in self.modules:
                    return full
        return base

    def named(self, module: Module) -> set[str]:
        """The modules that a module names in strings: to load them later or to run them as scripts."""
        strings = module.strings()
        bare = {each for string in strings for each in self.scripts.get(string.split("/")[-1].removesuffix(".py"), [])}
        return strings.intersection(self.modules) | bare

    def reached(self, names: Iterable[str]) -> set[str]:
        """The given modules and all that they import or name, straight or through others; each with its packages."""
        seen: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in self.modules and name not in seen:
                seen.add(name)
                todo += [*self.imports[name], *self.named(self.modules[name]), name.rpartition(".")[0]]
        return seen


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node, each sorted."""

    def closure(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = graph.get(todo.pop(), set()) - seen
            seen |= new
            todo += new
        return seen

    after = {node: closure(node) for node in graph}
    found = {frozenset(other for other in after[node] if node in after[other]) for node in graph if node in after[node]}
    return sorted(sorted(component) for component in found if len(component) > 1)


def file_circles(tree: Tree) -> list[str]:
    return [" <-> ".join(circle) for circle in _circles(tree.imports)]


def package_circles(tree: Tree) -> list[str]:
    """Circles among the children of each package (and of the root) that hold a package."""
    parents = {name.rpartition(".")[0] for name in tree.modules}
    found = []
    for parent in sorted(parents):
        inside = f"{parent}." if parent else ""

        def child(name: str, parent: str = parent, inside: str = inside) -> str:
            return f"{name}.__init__" if name == parent else inside + name.removeprefix(inside).split(".")[0]

        graph: dict[str, set[str]] = {}
        for name, imported in tree.imports.items():
            if name == parent or name.startswith(inside):
                others = {child(each) for each in imported if each == parent or each.startswith(inside)}
                graph.setdefault(child(name), set()).update(others - {child(name)})
        found += [circle for circle in _circles(graph) if parents.intersection(circle)]
    return [" <-> ".join(circle) for circle in found]


def long_files(tree: Tree) -> list[str]:
    counts = {name: len(module.text.splitlines()) for name, module in tree.modules.items()}
    return [f"{name}: {count} lines" for name, count in counts.items() if count > LONGEST_FILE]


def many_parameters(tree: Tree) -> list[str]:
    """Functions with more parameters than they may have."""
    kernels = {
        f"{module.name}.{function.name}"
        for module in tree.modules.values()
        for function in module.functions()
        if any(_COMPILERS & set(_names(decorator)) for decorator in function.decorator_list)
    }
    found = []
    for module in tree.modules.values():
        near = {*tree.imports[module.name], module.name}
        known = {kernel.rpartition(".")[2] for kernel in kernels if kernel.rpartition(".")[0] in near}
        for function in module.functions():
            count = _count_parameters(function.args)
            most = MOST_PARAMETERS
            if count > most:
                calls = {_names(node.func)[-1] for node in ast.walk(function) if isinstance(node, ast.Call)}
                most = MOST_KERNEL_PARAMETERS if known & {*calls, function.name} else MOST_PARAMETERS
            if count > most:
                found.append(f"{module.name}.{function.name}: {count} parameters, {most} allowed")
    return found


def _names(expression: ast.expr) -> list[str]:
    """The names in `a.b(c=d)` up to the call: ["a", "b"]."""
    if isinstance(expression, ast.Call):
        return _names(expression.func)
    return ast.unparse(expression).split(".")


def _count_parameters(arguments: ast.arguments) -> int:
    named = [*arguments.posonlyargs, *arguments.args]
    if named and named[0].arg in ("self", "cls", "ctx"):
        named = named[1:]
    return len([*named, *arguments.kwonlyargs]) + sum(each is not None for each in (arguments.vararg, arguments.kwarg))


def unread_modules(tree: Tree) -> list[str]:
    """Modules that no entry point reaches: those of the code without the help of tests, those of tests with it."""
    starts = {name for name, module in tree.modules.items() if module.is_entry_point()}
    for registry in sorted(path for folder in FOLDERS for path in (tree.root / folder).rglob("registry.toml")):
        entries = tomllib.loads(registry.read_text(encoding="utf-8")).values()
        tables = [table for entry in entries for table in (entry if isinstance(entry, list) else [entry])]
        starts |= {str(table["loader"]).split(":")[0] for table in tables if "loader" in table}
    tests = {name for name in tree.modules if _is_in(name, "tests")}
    read = tree.reached(starts - tests) | (tree.reached(starts & tests) & tests)
    return sorted(set(tree.modules) - read)


def wrong_directions(tree: Tree) -> list[str]:
    found = []
    for name in tree.modules:
        part = _rule(name, MAY_IMPORT)
        allowed = {part, *MAY_IMPORT[part]}
        wrong = [each for each in tree.imports[name] if not any(_is_in(each, each_part) for each_part in allowed)]
        libraries = tree.outside[name] - sys.stdlib_module_names
        limited = next((each for each in OUTSIDE if _is_in(name, each)), None)
        if limited is not None:
            wrong += libraries - {*OUTSIDE[limited]}
        elif name.split(".")[0] not in ("examples", "tests") and name not in IN_BLENDER:
            wrong += libraries.intersection(BLENDER)
        found += [f"{name} imports {each}" for each in sorted(wrong)]
    return found


def _is_in(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _rule(name: str, rules: Iterable[str]) -> str:
    return max((part for part in rules if _is_in(name, part)), key=len)


def findings(root: Path) -> dict[str, list[str]]:
    """What breaks each bar in the checkout at `root`, a line each."""
    tree = Tree(root)
    return {
        "circles of files": file_circles(tree),
        "circles of packages": package_circles(tree),
        f"files over {LONGEST_FILE} lines": long_files(tree),
        "functions with too many parameters": many_parameters(tree),
        "modules nobody imports": unread_modules(tree),
        "imports in a wrong direction": wrong_directions(tree),
    }


def main(root: Path) -> int:
    """Print the counts and what stands behind them; return 1 if a bar is broken."""
    found = findings(root)
    for bar, lines in found.items():
        print(f"{bar:36}{len(lines):6}", *lines, sep="\n    ")
    files = [path for folder in PRODUCT for path in (root / folder).rglob("*.py")]
    total = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    print(f"{'lines of ' + ', '.join(PRODUCT)}: {total:,}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent.parent))
