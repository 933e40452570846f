"""From names to classes: the one registry pattern of the project.

A registry is filled by decorators and found by walking its package, so that a new model, feature,
metric, blender or probe is one file. Two of a name raise; a user's own file is loaded by `load_plugins`.

    NETWORKS: Registry[type[Network]] = Registry("network", "models.networks")

    @NETWORKS.register("stack")
    class Stack(Network): ...
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from data.errors import InputError, unknown

_PLUGIN = "plugin_"  # begins the names of their modules

T = TypeVar("T")
Registered = TypeVar("Registered")


class Registry(Generic[T]):
    """Names to classes (or functions) of one kind, found by importing every module of `package`."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._entries: dict[str, T] = {}
        self._found = False

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Decorator: enter a class under `name`. Raises InputError if another object has the name."""

        def enter(entry: Registered) -> Registered:
            known: Any = self._entries.get(name)
            if known is not None and _place(known) != _place(entry):
                raise InputError(
                    f"{self.kind} {name!r} is registered twice: in {_place(known)} and in {_place(entry)}"
                )
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return enter

    def get(self, name: str, where: str = "") -> T:
        """The entry called `name`; InputError with the nearest names if there is none."""
        if name not in self._entries:  # a plugin's entry needs no look at the package, which may import torch
            self.discover()
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries, where)
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        self.discover()
        return tuple(sorted(self._entries))

    def items(self) -> list[tuple[str, T]]:
        """(name, entry) pairs sorted by name."""
        return [(name, self._entries[name]) for name in self.names()]

    def discover(self) -> None:
        """Import every module of the package once, so that its decorators have run."""
        if self._found:
            return
        self._found = True
        package = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(getattr(package, "__path__", ()), prefix=f"{self.package}."):
            importlib.import_module(module.name)


def load_plugins(files: Iterable[str | Path]) -> None:
    """Import the user's own Python files; what they register is then known by name.

    Raises InputError for a file that is not there or is not Python; what else it raises keeps its traceback.
    """
    for file in files:
        path = Path(file).resolve()
        if path.suffix != ".py" or not path.is_file():
            raise InputError(f"plugins: {file} is not a Python file that exists")
        name = f"{_PLUGIN}{path.stem}_{abs(hash(str(path))):x}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except SyntaxError as error:
            del sys.modules[name]
            raise InputError(f"plugins: {file}, line {error.lineno}: {error.msg}") from None
        except BaseException:
            del sys.modules[name]
            raise


def loaded_plugins() -> list[str]:
    """The files that `load_plugins` has imported so far, for a process that is to know the same names."""
    return [str(module.__file__) for name, module in [*sys.modules.items()] if name.startswith(_PLUGIN)]


def _place(entry: Any) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', entry)}"
