"""Makes random programs and random edits, of which it is known whether they have an effect."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random

from tests.attack.kinds import CLASSES, KINDS, TASKS, UNTIMELY, Kind
from tests.attack.programs import STYLES, Call, Definition, Program


def _chance(rng: Random, percent: int) -> bool:
    return rng.randrange(100) >= 100 - percent


def make_program(rng: Random, changes: int) -> Program:
    """Return a random program; `changes` is the chance of a change in place, in percent."""
    program = Program(rng.randint(1, 3))
    program.packed = {module for module in range(program.modules) if _chance(rng, 30)}
    program.definitions["num"] = Definition("num", "num", 0, [0])
    for number in range(1, rng.randint(3, 9) + 1):
        _add_helper(program, rng, f"d{number}")
    _tie(program, rng)
    for number in range(1, rng.randint(3, 5) + 1):
        _add_task(program, rng, f"t{number}")
    for definition in program.definitions.values():
        for use in definition.uses:
            if program.definitions[use].module < definition.module and (definition.module, use) not in program.styles:
                program.styles[definition.module, use] = rng.choice(STYLES)
    for number in range(1, rng.randint(3, 6) + 1):
        program.flow.append(_call(program, rng, f"v{number}", program.targets))
        if _chance(rng, changes):
            _add_change(program, rng)
    targets = program.targets
    program.returned = sorted({targets[-1], *(name for name in targets if _chance(rng, 30))})
    return program


def _needed(program: Program, rng: Random, kind: Kind, module: int) -> list[str] | None:
    found = []
    for role in kind.needs:
        fitting = [d.name for d in program.helpers if role in d.of.roles and d.module <= module]
        if not fitting:
            return None
        found.append(rng.choice(fitting))
    return found


def _numbers(rng: Random, count: int) -> list[int]:
    return [rng.randint(1, 9) for _ in range(count)]


def _add_helper(program: Program, rng: Random, name: str) -> None:
    module = rng.randint(0, program.modules - 1)
    kind = rng.choice([k for k in KINDS if k not in TASKS and k not in ("num", "tied")])
    needs = _needed(program, rng, KINDS[kind], module)
    if needs is None:
        kind, needs = "function", []
    made = Definition(name, kind, module, _numbers(rng, KINDS[kind].numbers), needs=needs)
    program.definitions[name] = made
    if made.of.calls:
        made.calls = _calls(program, rng, made)
        made.inside = made.of.inside and _chance(rng, 10)


def _calls(program: Program, rng: Random, made: Definition) -> list[str]:
    fitting = program.callable_from(made.name)
    return [rng.choice(fitting) for _ in range(rng.choice([0, 1, 1, 2]))] if fitting else []


def _tie(program: Program, rng: Random) -> None:
    """Let two functions call each other, across modules or not."""
    if _chance(rng, 40):
        numbers = [int(d.name[1:]) for d in program.helpers if d.name != "num"]
        one, other = f"d{max(numbers) + 1}", f"d{max(numbers) + 2}"
        home = rng.randint(0, program.modules - 1)
        next_door = min(home + 1, program.modules - 1)
        for name, module, calls in ((one, home, other), (other, rng.randint(home, next_door), one)):
            program.definitions[name] = Definition(name, "tied", module, _numbers(rng, 2), [calls])


def _add_task(program: Program, rng: Random, name: str) -> None:
    kind = rng.choice(sorted(TASKS))
    needs = _needed(program, rng, KINDS[kind], program.modules)
    if needs is None:
        kind, needs = "task", ["num"]
    made = Definition(name, kind, program.modules, _numbers(rng, KINDS[kind].numbers), needs=needs)
    program.definitions[name] = made
    fitting = program.callable_from(name) if made.of.calls else []
    made.calls = [rng.choice(fitting) for _ in range(rng.choice([1, 1, 2, 3]))] if fitting else []
    options = ["", "", "", "", ", deterministic=False", ", ignore=['quiet']", ", lazy=True"]
    made.options = rng.choice(options[:-1] if kind in UNTIMELY else options)


def _call(program: Program, rng: Random, target: str, before: list[str]) -> Call:
    """Return a call that takes results of those before."""
    task = rng.choice(program.tasks)
    given = rng.choice(
        ["plain", "plain", "plain", "list", "dict", "number", "helper", "item", "function", "object"],
    )
    inputs = list(dict.fromkeys(rng.choice(before) for _ in range(rng.randint(1, 2)))) if before else []
    role = {"function": "callable", "object": "class"}.get(given)
    helpers = [d.name for d in program.helpers if (role in d.of.roles if role else d.of.use)]
    given = given if helpers else "plain"
    helper = rng.choice(helpers or ["num"])
    if inputs and given == "item":
        source = next(call for call in program.flow if call.target == inputs[0])
        made = program.definitions[source.task].kind
        given = (
            "item" if made in ("task_pair", "task_list") and source.shape == "plain" and not source.caught else "plain"
        )
    if not inputs and given in ("list", "dict", "item"):
        given = "plain"
    others = [d for d in program.tasks if d.kind != "task_file"]
    shape = rng.choice(["plain", "plain", "plain", "plain", "branch", "loop", "counted", "map"])
    if task.kind == "task_file":
        given, shape = "file", "plain"
    if shape == "branch" and not (inputs and others):
        shape = "plain"
    other = rng.choice(others).name if others else task.name
    submitted = _chance(rng, 30)
    fails = "task_failing" in (task.kind, shape == "branch" and program.definitions[other].kind)
    waits = [rng.choice(before)] if before and shape != "map" and _chance(rng, 10) else []
    literal = rng.randint(0, 9)
    return Call(
        target, task.name, shape, other, inputs, given, helper, literal, submitted, fails and _chance(rng, 80), waits
    )


def _add_change(program: Program, rng: Random) -> None:
    """Add a change in place, and maybe an earlier call once more that takes what is changed."""
    change = _change(rng, program.targets)
    program.flow.append(change)
    takers = [call for call in program.flow if call.shape != "change" and change.inputs[0] in call.inputs]
    if takers and _chance(rng, 70):
        taker = copy.deepcopy(rng.choice(takers))
        taker.target = f"{taker.target}_again{len(program.flow)}"
        program.flow.append(taker)


def _change(rng: Random, before: list[str]) -> Call:
    """Return a change in place of one of those before."""
    return Call("", "", "change", "", [rng.choice(before)], "plain", "", rng.randint(0, 9), False)


def edit(program: Program, rng: Random) -> str:
    """Edit a program at random; return what was done in words."""
    return str(rng.choice([*WITH_EFFECT, *WITHOUT_EFFECT])(program, rng))


def edit_looks(program: Program, rng: Random) -> str:
    """Make an edit without effect."""
    return str(rng.choice(WITHOUT_EFFECT)(program, rng))


def _some(program: Program, rng: Random, fitting: Callable[[Definition], object]) -> Definition | None:
    """Return a definition that fits, one that the flow reaches where there is one."""
    found = [d for d in program.definitions.values() if fitting(d)]
    reached = program.reached([task for call in program.flow for task in call.tasks])
    return rng.choice([d for d in found if d.name in reached] or found) if found else None


def change_number(program: Program, rng: Random) -> str:
    definition = _some(program, rng, lambda d: d.of.numbers)
    if definition is None:
        return "nothing"
    place = rng.randint(0, len(definition.numbers) - 1)
    definition.numbers[place] = rng.choice([n for n in range(1, 10) if n != definition.numbers[place]])
    return f"number {place} of {definition.name}"


def swap_calls(program: Program, rng: Random) -> str:
    definition = _some(program, rng, lambda d: len(set(d.calls)) > 1)
    if definition is None:
        return "nothing"
    definition.calls.reverse()
    return f"calls of {definition.name} swapped"


def add_term(program: Program, rng: Random) -> str:
    definition = _some(program, rng, lambda d: d.of.calls)
    assert definition is not None
    fitting = program.callable_from(definition.name)
    if fitting and _chance(rng, 50) and len(definition.calls) < 3:
        definition.calls.append(rng.choice(fitting))
    else:
        definition.extra.append(rng.randint(1, 9))
    return f"term added to {definition.name}"


def drop_term(program: Program, rng: Random) -> str:
    definition = _some(program, rng, lambda d: d.of.calls and (d.calls or d.extra))
    if definition is None:
        return "nothing"
    (definition.extra or definition.calls).pop()
    return f"term dropped from {definition.name}"


def call_another(program: Program, rng: Random) -> str:
    definition = _some(program, rng, lambda d: d.of.calls and d.calls)
    if definition is None:
        return "nothing"
    definition.calls[0] = rng.choice(program.callable_from(definition.name))
    return f"{definition.name} calls {definition.calls[0]}"


def need_another(program: Program, rng: Random) -> str:
    """Use another decorator, base class, default, or function in a table."""
    definition = _some(program, rng, lambda d: d.of.needs and d.of.needs[-1] != "num")
    if definition is None:
        return "nothing"
    earlier = set(list(program.order())[: list(program.order()).index(definition.name)])
    fitting = [
        d.name
        for d in program.helpers
        if definition.of.needs[-1] in d.of.roles and d.module <= definition.module and d.name in earlier
    ]
    definition.needs[-1] = rng.choice(fitting)
    return f"{definition.name} needs {definition.needs[-1]}"


def change_flow(program: Program, rng: Random) -> str:
    call = rng.choice(program.flow)
    if call.shape == "change":
        call.literal = (call.literal + 1) % 10
        return f"change in place of {call.inputs[0]}"
    match rng.choice(["literal", "parameter", "given", "returned", "task"]):
        case "literal":
            call.literal = (call.literal + 1) % 10
        case "parameter":
            program.parameter += 1
        case "given" if call.given in ("plain", "list", "number", "dict") and call.inputs:
            call.given = rng.choice(["plain", "list", "number", "dict"])
        case "task" if call.given != "file":
            read = any(other.given == "item" and other.inputs[0] == call.target for other in program.flow)
            if not read:
                call.task = rng.choice([d for d in program.tasks if d.kind != "task_file"] or program.tasks).name
        case _:
            program.returned = [program.targets[-1], call.target]
    return f"flow at {call.target}"


def add_step(program: Program, rng: Random) -> str:
    at = rng.randint(0, len(program.flow))
    before = [call.target for call in program.flow[:at] if call.target]
    if before and _chance(rng, 20):
        program.flow.insert(at, _change(rng, before))
        return f"{before[-1]} or another one changed in place"
    target = f"v{1 + max(int(name[1:].partition('_')[0]) for name in program.targets)}"
    program.flow.insert(at, _call(program, rng, target, before))
    program.returned = [*program.returned, target]
    return f"{target} added"


def remove_step(program: Program, rng: Random) -> str:
    used = {name for call in program.flow for name in (*call.inputs, *call.waits)}
    unused = [call for call in program.flow if call.target not in used]
    call = rng.choice(unused)
    if len(program.targets) == 1 and call.target:
        return "nothing"
    program.flow.remove(call)
    program.returned = [name for name in program.returned if name != call.target] or [program.targets[-1]]
    return f"{call.target or 'a change in place'} removed"


def change_file(program: Program, rng: Random) -> str:
    program.content = program.content % 9 + 1
    return "file content"


def change_looks(program: Program, rng: Random) -> str:
    definition = _some(program, rng, lambda d: True)
    assert definition is not None
    look = rng.choice(["comment", "doc", "annotation", "blank", "local"])
    definition.looks[look] = (definition.looks.get(look, 0) + 1) % 3
    return f"{look} of {definition.name}"


def add_unused(program: Program, rng: Random) -> str:
    module = rng.randint(0, program.modules)
    chunks = program.unused.setdefault(module, [])
    name = f"unused_{module}_{len(chunks)}"
    chunks.append(rng.choice([f"{name} = {{1: 2}}", f"def {name}(x):\n    return x + 1", f"class {name}:\n    A = 1"]))
    return f"{name} added"


def reorder_imports(program: Program, rng: Random) -> str:
    module = rng.randint(0, program.modules)
    program.reversed_imports ^= {module}
    return f"imports of module {module} reordered"


def move_within_file(program: Program, rng: Random) -> str:
    names = list(program.definitions)
    name = rng.choice(names)
    names.remove(name)
    needed = program.needed(name)
    low = max((names.index(each) + 1 for each in needed), default=0)
    high = min((names.index(each) for each in names if name in program.needed(each)), default=len(names))
    at = rng.randint(low, high)
    names.insert(at, name)
    program.definitions = {each: program.definitions[each] for each in names}
    return f"{name} moved to place {at}"


def move_to_module(program: Program, rng: Random) -> str:
    """Move a function or constant to another module; a class belongs to its module, as its instances do."""
    definition = _some(program, rng, lambda d: d.module < program.modules and d.of.use and d.kind not in CLASSES)
    if definition is None or definition.kind in ("tied",):
        return "nothing"
    low = max((program.definitions[use].module for use in definition.uses), default=0)
    users = [d.module for d in program.definitions.values() if definition.name in d.uses]
    high = min([program.modules - 1, *users])
    definition.module = rng.randint(low, high)
    return f"{definition.name} moved to module {definition.module}"


def move_file(program: Program, rng: Random) -> str:
    """Move a module without classes into a package or out of it."""
    module = rng.randint(0, program.modules - 1)
    if any(d.kind in CLASSES for d in program.in_module(module)):
        return "nothing"
    program.packed ^= {module}
    return f"module {module} is {program.module_name(module)}"


def move_folder(program: Program, rng: Random) -> str:
    program.folder += 1
    return "project moved to another folder"


WITH_EFFECT = [
    change_number,
    change_number,
    change_number,
    swap_calls,
    add_term,
    drop_term,
    call_another,
    need_another,
    change_flow,
    change_file,
    add_step,
    remove_step,
]
WITHOUT_EFFECT = [
    change_looks,
    change_looks,
    add_unused,
    reorder_imports,
    move_within_file,
    move_to_module,
    move_file,
    move_folder,
]
