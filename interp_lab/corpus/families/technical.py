"""Invented Python with docstrings, prose about code, and the two mixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interp_lab.corpus.morphology import capitalised, gerund, plural, third_person, with_article
from interp_lab.corpus.writer import Writer

_DEFAULTS = {"int": "0", "str": '""', "float": "1.0", "bool": "False", "list": "None", "dict": "None", "bytes": 'b""'}


@dataclass(frozen=True)
class Function:
    """An invented Python function: its name, its arguments with their types, and what it is for."""

    verb: str
    noun: str
    name: str
    arguments: tuple[tuple[str, str], ...]
    returns: str
    purpose: str


def function(w: Writer) -> Function:
    """A function with one to three arguments."""
    c = w.words.code
    verb, noun = w.dice.pick(c.verbs), w.dice.pick(c.nouns)
    middle = f"{w.dice.pick(c.adjectives)}_" if w.dice.chance(0.4) else ""
    names = w.dice.sample(c.nouns, w.dice.integer(1, 3))
    arguments = tuple((name, w.dice.pick(c.types)) for name in names)
    name = f"{verb}_{middle}{noun}"
    return Function(verb, noun, name, arguments, w.dice.pick(c.types), w.dice.pick(c.purposes))


def docstring(w: Writer, f: Function, indent: str) -> str:
    """The docstring of the function, from one line to a full description of its arguments."""
    first = w.dice.pick(
        (
            f"{capitalised(f.verb)} the {f.noun} and return {with_article(f.returns)}.",
            f"{capitalised(f.purpose)}.",
            f"{capitalised(third_person(f.verb))} every {f.noun} of the given {f.arguments[0][0]}.",
            f"Return the {f.noun} after {gerund(f.verb)} the {f.arguments[0][0]}.",
        )
    )
    if w.dice.chance(0.5):
        return f'{indent}"""{first}"""'
    lines = [f'{indent}"""{first}', "", f"{indent}Args:"]
    lines += [f"{indent}    {name}: the {name} to {f.verb}, {with_article(kind)}." for name, kind in f.arguments]
    if w.dice.chance(0.6):
        lines += [
            "",
            f"{indent}Raises:",
            f"{indent}    {w.dice.pick(w.words.code.exceptions)}: if the {f.noun} is missing.",
        ]
    return "\n".join([*lines, f'{indent}"""'])


def source(w: Writer, f: Function, indent: str = "", method: bool = False) -> str:
    """The function as Python source."""
    typed = w.dice.chance(0.6)
    arguments = [f"{name}: {kind}" if typed else name for name, kind in f.arguments]
    if w.dice.chance(0.3):
        kind = f.arguments[-1][1]
        arguments[-1] += f" = {_DEFAULTS[kind]}" if typed else f"={_DEFAULTS[kind]}"
    head = ", ".join(["self", *arguments] if method else arguments)
    result = f" -> {f.returns}" if typed else ""
    inner = indent + "    "
    body = w.dice.pick(_BODIES)(w, f)
    lines = [f"{indent}def {f.name}({head}){result}:"]
    if w.dice.chance(0.7):
        lines.append(docstring(w, f, inner))
    return "\n".join([*lines, *(inner + line for line in body)])


def _loop(w: Writer, f: Function) -> list[str]:
    first = f.arguments[0][0]
    return [
        "result = []",
        f"for {f.noun} in {first}:",
        f"    if {f.noun} {w.dice.pick(('is None', 'not in result', '> 0', '== 0'))}:",
        f"        {w.dice.pick(('continue', f'result.append({f.noun})', 'break'))}",
        f"    result.append({w.dice.pick((f.noun, f'str({f.noun})', f'len({f.noun})'))})",
        "return result",
    ]


def _guard(w: Writer, f: Function) -> list[str]:
    first = f.arguments[0][0]
    return [
        f"if not {first}:",
        f'    raise {w.dice.pick(w.words.code.exceptions)}("{first} is {w.dice.pick(w.words.code.adjectives)}")',
        f"{f.noun} = {w.dice.pick(('sorted', 'list', 'len', 'max', 'min', 'sum', 'set'))}({first})",
        f"return {f.noun}",
    ]


def _count(w: Writer, f: Function) -> list[str]:
    first, start = f.arguments[0][0], w.dice.integer(0, 9)
    return [f"{f.noun} = {start}", f"for item in {first}:", f"    {f.noun} += item", f"return {f.noun}"]


def _table(w: Writer, f: Function) -> list[str]:
    first = f.arguments[0][0]
    return [
        f"{f.noun} = {{}}",
        f"for key, value in {first}.items():",
        f"    {f.noun}[key] = value {w.dice.pick(('+', '-', '*', '%'))} {w.dice.integer(1, 99)}",
        f"return {f.noun}",
    ]


def _attempt(w: Writer, f: Function) -> list[str]:
    first = f.arguments[0][0]
    return [
        "try:",
        f"    {f.noun} = {w.dice.pick(('int', 'float', 'open', 'dict'))}({first})",
        f"except {w.dice.pick(w.words.code.exceptions)}:",
        "    return None",
        f"return {f.noun}",
    ]


_BODIES: tuple[Callable[[Writer, Function], list[str]], ...] = (_loop, _guard, _count, _table, _attempt)


def program(w: Writer) -> str:
    """A module: imports, functions, and perhaps a class."""
    modules = w.dice.sample(w.words.code.modules, w.dice.integer(1, 3))
    parts = ["\n".join(f"import {module}" for module in modules)]
    parts.extend(w.sentence(lambda: source(w, function(w))) for _ in range(w.dice.integer(1, 3)))
    if w.dice.chance(0.4):
        parts.append(_class(w))
    return "\n\n\n".join(parts)


def _class(w: Writer) -> str:
    head = w.sentence(lambda: _class_head(w))
    methods = [w.sentence(lambda: source(w, function(w), "    ", method=True)) for _ in range(w.dice.integer(1, 2))]
    return "\n\n".join([head, *methods])


def _class_head(w: Writer) -> str:
    name, fields = w.dice.pick(w.words.code.classes), w.dice.sample(w.words.code.nouns, 2)
    lines = [
        f"class {name}:",
        f'    """{capitalised(with_article(name.lower()))} that {w.dice.pick(w.words.code.purposes)}."""',
        "",
    ]
    lines.append(f"    def __init__(self, {', '.join(fields)}):")
    return "\n".join([*lines, *(f"        self.{field} = {field}" for field in fields)])


def tutorial(w: Writer) -> str:
    """Prose about a function, its source in a fenced block, and more prose."""
    f = function(w)
    before = [w.sentence(lambda: about(w, f)) for _ in range(w.dice.integer(1, 3))]
    block = "```python\n" + w.sentence(lambda: source(w, f)) + "\n```"
    after = [w.sentence(lambda: about(w, f)) for _ in range(w.dice.integer(1, 3))]
    return "\n\n".join([" ".join(before), block, " ".join(after)])


def about(w: Writer, f: Function) -> str:
    """One sentence of prose about the function."""
    pick, c = w.dice.pick, w.words.code
    first, kind = f.arguments[0]
    who, other = w.grammar.noun("role"), pick(c.nouns)
    return pick(
        (
            f"The function `{f.name}` {f.purpose} and takes {with_article(kind)} called `{first}`.",
            f"In Python, a developer calls {f.name} to {f.verb} the {other} of a {f.noun}.",
            f"When the {first} is {pick(c.adjectives)}, `{f.name}` raises {with_article(pick(c.exceptions))}.",
            f"A {who} can use the {f.returns} that it returns to {pick(c.verbs)} many {plural(other)}.",
            f"Note that this code {pick(c.purposes)} before the {other} is {pick(c.adjectives)}.",
            f"The argument `{first}` must be {with_article(kind)}, because the loop {pick(c.purposes)}.",
        )
    )
