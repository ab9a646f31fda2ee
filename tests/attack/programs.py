"""Random small programs: a project of several modules, a flow of tasks over it, and edits with and without effect.

A program is a model that is written out as source. So it is known which definitions a task reaches, and what it counts
of each: its version is made from the model, never from what the fingerprint says.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.attack.kinds import HEADER, KINDS, SHARING, Kind

LOCALS = ("total", "value", "amount")
STATES = ("memo", "counter", "late", "registry")
STYLES = ("from", "renamed", "module", "alias", "star", "via")


@dataclass
class Definition:
    """A function, class or constant of the project.

    Attributes:
        name: Its name, unique in the project.
        kind: Which of `KINDS`.
        module: Where it lives.
        numbers: The numbers in it.
        calls: What it uses when it is called.
        needs: What it uses when its module is imported.
        extra: Numbers added to what it computes.
        inside: Whether it imports what it calls when it is called.
        options: Of a task: what its decorator is told.
        looks: How it is written: comment, docstring, annotation, blank lines, name of its local variable.
    """

    name: str
    kind: str
    module: int
    numbers: list[int]
    calls: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    inside: bool = False
    options: str = ""
    looks: dict[str, int] = field(default_factory=dict)

    @property
    def uses(self) -> list[str]:
        return [*self.calls, *self.needs]

    @property
    def of(self) -> Kind:
        return KINDS[self.kind]


@dataclass
class Call:
    """A statement of the flow: a call of a task, or a change in place.

    Attributes:
        target: The variable that takes the result; empty for a change.
        task: The task.
        shape: ``plain``, ``branch`` (on a small result, between two tasks), ``loop``, ``counted`` (a loop whose end is
            a result), ``map``, or ``change`` (the flow's body changes an object in place).
        other: The other task of a branch.
        inputs: Variables given.
        given: How: as they are, in a list or dict, by one number, through a helper of the project.
        helper: That helper.
        literal: The other argument.
        submitted: Whether the call is submitted.
        caught: Whether the flow catches what the task raises.
        waits: Variables that are only waited for.
    """

    target: str
    task: str
    shape: str
    other: str
    inputs: list[str]
    given: str
    helper: str
    literal: int
    submitted: bool
    caught: bool = False
    waits: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> list[str]:
        return {"branch": [self.task, self.other], "change": []}.get(self.shape, [self.task])

    @property
    def is_many(self) -> bool:
        """Whether its target is a list of results."""
        return self.shape in ("loop", "counted", "map")


@dataclass
class Program:
    """A project in modules ``m0``, ``m1``... and ``pipeline``, which has the tasks and the flow."""

    modules: int
    definitions: dict[str, Definition] = field(default_factory=dict)
    flow: list[Call] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    styles: dict[tuple[int, str], str] = field(default_factory=dict)
    unused: dict[int, list[str]] = field(default_factory=dict)
    reversed_imports: set[int] = field(default_factory=set)
    parameter: int = 5
    content: int = 1
    folder: int = 0
    packed: set[int] = field(default_factory=set)

    @property
    def helpers(self) -> list[Definition]:
        return [d for d in self.definitions.values() if d.module < self.modules]

    @property
    def tasks(self) -> list[Definition]:
        return [d for d in self.definitions.values() if d.module == self.modules]

    @property
    def targets(self) -> list[str]:
        """The variables of the flow, in their order."""
        return [call.target for call in self.flow if call.target]

    def module_name(self, module: int) -> str:
        if module == self.modules:
            return "pipeline"
        return f"kit.m{module}" if module in self.packed else f"m{module}"

    # -- what counts ---------------------------------------------------------------------------------------------

    def version(self, name: str) -> tuple[str, ...]:
        """Return all that a definition reaches, without how it is written and where it lives.

        To state, which code that runs writes, belongs what may write it as its module is imported.
        """
        reached = self.reached([name])
        plain = [self._plain(each) for each in sorted(reached)]
        for state in sorted(each for each in reached if self.definitions[each].kind in STATES):
            home = self.definitions[state].module
            plain += [self._plain(d.name) for d in self.in_module(home) if state in d.uses]
            plain += sorted(line for line in self._imports(home) if line.endswith("*"))
        # what is imported inside a function counts as whole modules, with all that they import
        inside = [use for each in reached if self.definitions[each].inside for use in self.definitions[each].calls]
        modules = {self.definitions[use].module for use in inside}
        if not modules:
            return tuple(plain)
        return (*plain, *(self.source(module) for module in range(max(modules) + 1)))

    def as_value(self, name: str) -> tuple[str, ...]:
        """Return all that a definition is when it is given to a task: also where it lives and how it is written.

        A function that is given is known by its bytecode, and there stand the names of the modules that it names:
        where one of these moves, it is another argument.
        """
        reached = [self.definitions[each] for each in sorted(self.reached([name]))]
        written = [self._as_written(each) for each in reached]
        return (self.module_name(self.definitions[name].module), *self.version(name), *written)

    def _plain(self, name: str) -> str:
        return self._text(self.definitions[name], lambda use: use, {})

    # -- as source -----------------------------------------------------------------------------------------------

    def files(self) -> dict[str, str]:
        """Return the modules by file name."""
        paths = {module: self.module_name(module).replace(".", "/") for module in range(self.modules + 1)}
        return {f"{path}.py": self.source(module) for module, path in paths.items()}

    def source(self, module: int) -> str:
        chunks = [self._as_written(d) for d in self.in_module(module)]
        chunks += self.unused.get(module, [])
        if module == self.modules:
            chunks.append(self._flow())
        late = [f"import {self.module_name(other)}" for other in self._late(module)]
        return "\n\n".join([HEADER + "\n".join(self._imports(module)), *chunks, *late]) + "\n"

    def in_module(self, module: int) -> list[Definition]:
        return [d for d in self.definitions.values() if d.module == module]

    def _flow_uses(self) -> list[str]:
        return ["num", *(call.helper for call in self.flow if call.given in ("helper", "function", "object"))]

    def _imports(self, module: int) -> list[str]:
        lines: dict[str, None] = {}
        for use in self._imported(module):
            lines.update(dict.fromkeys(self._import_line(module, use)))
        return list(reversed(lines)) if module in self.reversed_imports else list(lines)

    def _imported(self, module: int) -> list[str]:
        """Return what a module takes from others as it is imported, for itself or to hand it on."""
        uses = [u for d in self.in_module(module) for u in (d.needs if d.inside else d.uses)]
        uses += self._flow_uses() if module == self.modules else []
        uses += [use for (user, use) in self.styles if user == module + 1 and self._style(user, use) == "via"]
        return [use for use in dict.fromkeys(uses) if self.definitions[use].module < module]

    def _late(self, module: int) -> list[int]:
        """Return the later modules that functions of this one use; they are imported at its end."""
        uses = [self.definitions[use].module for d in self.in_module(module) for use in d.calls]
        return sorted({other for other in uses if other > module})

    def _style(self, module: int, use: str) -> str:
        style, home = self.styles.get((module, use), "from"), self.definitions[use].module
        if style == "module" and home in self.packed and self._late(home):
            return "alias"  # while a module of a package is imported, the package does not have it yet
        if style != "via":
            return style
        handed_on = self.definitions[use].module < module - 1 and "." not in self._name_in(module - 1, use)
        return "via" if handed_on else "from"

    def _import_line(self, module: int, use: str) -> list[str]:
        home = self.module_name(self.definitions[use].module)
        match self._style(module, use):
            case "renamed":
                return [f"from {home} import {use} as their_{use}"]
            case "module":
                return [f"import {home}"]
            case "alias":
                return [f"import {home} as the_m{self.definitions[use].module}"]
            case "star":
                return [f"from {home} import *"]
            case "via":
                return [f"from {self.module_name(module - 1)} import {self._name_in(module - 1, use)} as {use}"]
        return [f"from {home} import {use}"]

    def _name_in(self, module: int, use: str) -> str:
        """Return what a definition is called in the code of a module."""
        home = self.definitions[use].module
        if home == module:
            return use
        if home > module:
            return f"{self.module_name(home)}.{use}"
        match self._style(module, use):
            case "renamed":
                return f"their_{use}"
            case "module":
                return f"{self.module_name(home)}.{use}"
            case "alias":
                return f"the_m{home}.{use}"
        return use

    def _as_written(self, definition: Definition) -> str:
        return self._text(definition, lambda use: self._name_in(definition.module, use), definition.looks)

    def _text(self, definition: Definition, name_of: Callable[[str], str], looks: dict[str, int]) -> str:
        kind, inside = definition.of, ""
        names = {use: name_of(use) for use in definition.uses}
        if definition.inside:
            names.update({use: use for use in definition.calls})
            elsewhere = [use for use in definition.calls if self.definitions[use].module != definition.module]
            inside = "".join(
                f"\n    from {self.module_name(self.definitions[use].module)} import {use}" for use in elsewhere
            )
        terms = [f" + {n + 2} * {self._use(use, names[use], f'(x + {n})')}" for n, use in enumerate(definition.calls)]
        text = kind.source.format(
            name=definition.name,
            n=definition.numbers,
            calls="".join([*terms, *(f" + {extra}" for extra in definition.extra)]),
            at=[names[use] for use in definition.needs],
            options=definition.options,
            local=LOCALS[looks.get("local", 0)],
            doc=f'\n    """Text {looks["doc"]}."""' if looks.get("doc") else "",
            doc8=f'\n        """Text {looks["doc"]}."""' if looks.get("doc") else "",
            ann=": int" if looks.get("annotation") else "",
            ret=" -> 'int'" if looks.get("annotation") else "",
            inside=inside,
            tied=names[definition.calls[0]] if definition.kind == "tied" else "",
        )
        text = text.strip("\n")
        if looks.get("comment"):
            text = f"# note {looks['comment']}\n" + text.replace("\n    return", "\n    # so\n    return")
        return "\n" * looks.get("blank", 0) + text

    def _use(self, use: str, name: str, x: str) -> str:
        return self.definitions[use].of.use.format(r=name, x=x)

    def _flow(self) -> str:
        lines = [line for call in self.flow for line in self._statement(call)]
        body = "\n".join([*lines, f"return [{', '.join(self.returned)}]"])
        return "def flow(p, source):\n" + textwrap.indent(body, "    ")

    def _statement(self, call: Call) -> Iterator[str]:
        if call.shape == "change":
            yield f"change({self._value(call.inputs[0])}, {call.literal + 1})"
            return
        lines = self._called(call)
        if not call.caught:
            yield from lines
            return
        yield "try:"
        yield from (f"    {line}" for line in lines)
        yield "except ValueError as error:"
        yield f"    {call.target} = str(error)"

    def _called(self, call: Call) -> Iterator[str]:
        number = self._name_in(self.modules, "num")
        looked = f"{number}({self._value(call.inputs[0])})" if call.inputs else "p"
        given, waits = self._given(call, looked), f", wait_for=[{', '.join(call.waits)}]" if call.waits else ""
        later = self._is_future(call)
        submit = ".submit" if call.submitted else ""
        result = ".result()" if call.submitted and not later else ""
        match call.shape:
            case "branch":
                for word, task in ((f"if {looked} % 2:", call.task), ("else:", call.other)):
                    yield word
                    yield f"    {call.target} = {task}{submit}({given}, {call.literal}{waits}){result}"
            case "loop" | "counted":
                times = "3" if call.shape == "loop" else f"{looked} % 3 + 1"
                one = f"{call.task}{submit}({given}, {call.literal} + i{waits}){result}"
                yield f"{call.target} = [{one} for i in range({times})]"
            case "map":
                given = [looked] if self._would_share(call) else call.inputs
                mapped = f"{call.task}.map([{', '.join([*given, 'p'])}], {call.literal})"
                yield f"{call.target} = {mapped if later else f'[each.result() for each in {mapped}]'}"
            case _:
                yield f"{call.target} = {call.task}{submit}({given}, b={call.literal}{waits}){result}"

    def _given(self, call: Call, looked: str) -> str:
        if self._would_share(call):
            return looked
        match call.given:
            case "list":
                return f"[{', '.join(call.inputs)}]"
            case "dict":
                return f"{{{', '.join(f'{name!r}: {name}' for name in call.inputs)}}}"
            case "number":
                return looked
            case "helper":
                return self._use(call.helper, self._name_in(self.modules, call.helper), looked)
            case "item":
                return f"{self._value(call.inputs[0])}[1]"
            case "file":
                return "File(source)"
            case "function" | "object":
                name = self._name_in(self.modules, call.helper)
                return f"{name}({call.literal})" if call.given == "object" else name
        return call.inputs[0] if call.inputs else "p"

    @property
    def kinds(self) -> set[str]:
        """The kinds of the tasks that the flow calls."""
        return {self.definitions[task].kind for call in self.flow for task in call.tasks}

    @property
    def shares(self) -> bool:
        """Whether objects are changed in place, so that nothing may be going on meanwhile."""
        return any(call.shape == "change" for call in self.flow) or not self.kinds.isdisjoint(SHARING)

    def _is_future(self, call: Call) -> bool:
        """Return whether what a call gives is not awaited at once, as it is where its task may fail."""
        fails = call.caught or any(self.definitions[task].kind == "task_failing" for task in call.tasks)
        return (call.submitted or call.shape == "map") and not fails and not self.shares

    def _would_share(self, call: Call) -> bool:
        """Return whether a task would change or give back a list or dict that the flow made of results.

        Such a container is made anew for the task, as Prefect does where it holds futures: that is a limit.
        """
        holds_many = any(each.is_many for each in self.flow if each.target in call.inputs)
        shares = any(self.definitions[task].kind in SHARING for task in call.tasks)
        as_it_is = call.given == "plain" or call.shape == "map"
        return shares and (call.given in ("list", "dict") or (as_it_is and holds_many))

    def form(self, call: Call) -> str:
        """Return how a call is given its inputs: which of them as futures, and in what."""
        makers = {each.target: each for each in self.flow}
        return f"{call.shape} {call.given} {[self._is_future(makers[name]) for name in call.inputs]}"

    def _value(self, name: str) -> str:
        call = next(call for call in self.flow if call.target == name)
        if not self._is_future(call):
            return name
        return f"[each.result() for each in {name}]" if call.is_many else f"{name}.result()"

    # -- what may use what ---------------------------------------------------------------------------------------

    def callable_from(self, name: str) -> list[str]:
        """Return what a definition may use without a circle: usable definitions that came before it."""
        names = list(self.order())
        earlier = [self.definitions[each] for each in names[: names.index(name)]]
        home = min(self.definitions[name].module, self.modules - 1)
        return [each.name for each in earlier if each.of.use and each.module <= home]

    def needed(self, name: str) -> set[str]:
        """Return what has to be there when a definition is imported, also where it is called then."""
        return self.reached(self.definitions[name].needs)

    def reached(self, names: Iterable[str]) -> set[str]:
        """Return `names` and all that they use, directly or not."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += self.definitions[each].uses
        return found

    def order(self) -> Iterable[str]:
        """Return all names in an order in which each uses earlier ones only, circles aside."""
        return sorted(self.definitions, key=lambda name: (name[0] == "t", int("".join(filter(str.isdigit, name)) or 0)))

    def copy(self) -> Program:
        return copy.deepcopy(self)
