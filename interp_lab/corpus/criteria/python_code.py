"""Python code against prose about code: the text is source, not English that talks about source.

Code has more marks and shorter words than prose. Each contrast therefore draws several of both and keeps the two
that are nearest in length and share of marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from pydantic import TypeAdapter

from interp_lab.contracts.base import Contract
from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Family, Side
from interp_lab.corpus.criteria.frames import section, slotted, values
from interp_lab.corpus.criteria.identifiers import CODE
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.families.technical import Function, about, function, source
from interp_lab.corpus.morphology import capitalised, plural, third_person, with_article
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer

Writes = Callable[[Writer, Function], str]
_DRAWS = 6
_WIDTH = 72


def _surface(text: str) -> tuple[float, float, float, float]:
    """Length and shares of marks, digits and capitals, each in units of what would be noticed."""
    marks = sum(not (character.isalnum() or character.isspace()) for character in text)
    digits = sum(character.isdigit() for character in text)
    capitals = sum(character.isupper() for character in text)
    return len(text) / 60, 30 * marks / len(text), 30 * digits / len(text), 30 * capitals / len(text)


def _nearest(codes: list[str], proses: list[str], signs: Sequence[int]) -> tuple[str, str]:
    """The code and the prose that differ least on the surface, with the code above the prose where the sign is 1.

    Nearness alone would leave a small difference of always the same direction, which is all that a ranking needs.
    """

    def distance(both: tuple[str, str]) -> float:
        differences = [one - other for one, other in zip(*map(_surface, both), strict=True)]
        return sum(abs(gap) + (gap * sign < 0) for gap, sign in zip(differences, signs, strict=True))

    return min(product(codes, proses), key=distance)


def _family(kind: str, write_code: Writes, write_prose: Writes) -> Family:
    def family(scene: Scene) -> Contrast:
        writer = Writer(scene.dice, Split.CRITERIA)
        made = function(writer)
        codes = [writer.sentence(lambda: write_code(writer, made)) for _ in range(_DRAWS)]
        proses = [writer.sentence(lambda: write_prose(writer, made)) for _ in range(_DRAWS)]
        return _contrast(scene, codes, (proses, kind), len(made.arguments))

    return family


def _contrast(scene: Scene, codes: list[str], told: tuple[list[str], str], n_arguments: int) -> Contrast:
    """The nearest code and prose; `told` is the prose and its kind."""
    code, prose = _nearest(codes, told[0], [scene.dice.pick((-1, 1)) for _ in range(4)])
    return Contrast(
        Side(code, "code", {"n_lines": code.count("\n") + 1}),
        Side(prose, told[1], {"n_lines": prose.count("\n") + 1}),
        {"topic": "code", "n_arguments": n_arguments},
        paired=False,
    )


def _head(text: str, lines: int) -> str:
    return "\n".join(text.splitlines()[:lines])


def _function(w: Writer, f: Function) -> str:
    return _head(source(w, f), w.dice.integer(3, 8))


def _body(w: Writer, f: Function) -> str:
    """Statements without a def: fewer marks."""
    item, items, other = f.noun, f.arguments[0][0], w.dice.pick(w.words.code.nouns)
    condition = w.dice.pick((f"{item} is None", f"{item} not in {other}", f"not {item}", f"{item} in {items}"))
    act = w.dice.pick(
        (f"{other} = {item}", f"del {other}", f"{other} += 1", "continue", f"return {item}", f"yield {item}")
    )
    frame = (
        f"for {item} in {items}:\n    if {condition}:\n        {act}",
        f"while {condition}:\n    {act}",
        f"if {condition}:\n    {act}",
    )
    last = w.dice.pick(
        (f"return {other}", f"assert {other} is not None", f"{f.verb}_{item} = {other} or {items}", "pass")
    )
    return f"{w.dice.pick(frame)}\n{last}"


def _imports(w: Writer, f: Function) -> str:
    modules = w.dice.sample(w.words.code.modules, 4)
    lines = [
        f"import {modules[0]}",
        f"from {modules[1]} import {f.verb}_{f.noun}",
        f"import {modules[2]} as {f.arguments[0][0]}",
        f"from {modules[3]} import {w.dice.pick(w.words.code.classes)}",
    ]
    return "\n".join(w.dice.sample(lines, w.dice.integer(2, 4)))


def _class(w: Writer, f: Function) -> str:
    name, base = w.dice.sample(w.words.code.classes, 2)
    field = f.arguments[0][0]
    opening = f"class {name}{capitalised(f.noun)}({base}):"
    members = (
        f'    """{capitalised(with_article(name.lower()))} that {f.purpose}."""',
        f"    {field} = None",
        f"    {f.noun} = {w.dice.pick(w.words.code.types)}",
        f"    def {f.name}(self):\n        return self.{field}",
        f"    def clear(self):\n        del self.{f.noun}",
    )
    return "\n".join(
        [opening, *(member for member in members if w.dice.chance(0.5)), f"    {f.noun}_is_{field} = True"]
    )


def _errors(w: Writer, f: Function) -> str:
    first, (one, two) = f.arguments[0][0], w.dice.sample(w.words.code.exceptions, 2)
    reason = f"{first} is {w.dice.pick(w.words.code.adjectives)} and {w.dice.pick(w.words.code.purposes)}"
    return w.dice.pick(
        (
            f'if {first} is None:\n    raise {one}("the {reason}")\nreturn {f.noun}',
            f'try:\n    {f.noun} = {f.name}({first})\nexcept {one}:\n    raise {two}("the {reason}")',
            f'if {first} in {f.noun}:\n    raise {two}("no {reason}")',
        )
    )


def _usage(w: Writer, f: Function) -> str:
    """Prose full of inline code."""
    names = ", ".join(name for name, _ in f.arguments)
    first, other = f.arguments[0][0], w.dice.pick(w.words.code.nouns)
    sentences = (
        f"Call `{f.name}({names})` to {f.verb} the {f.noun}; it {f.purpose} (see `{other}`).",
        f"The result is `{with_article(f.returns)}`, or `None` if `{first}` is {w.dice.pick(w.words.code.adjectives)}.",
        f"By default `{first}` is {w.dice.integer(0, 9)}, at most {w.dice.integer(10, 99)}.",
        f"Use `{first}` (not `{other}`) when it {w.dice.pick(w.words.code.purposes)}.",
        f"In `{w.dice.pick(w.words.code.modules)}.py`, `{f.name}` {w.dice.pick(w.words.code.purposes)}.",
    )
    return " ".join(w.dice.sample(sentences, w.dice.integer(1, 3)))


def _fields(w: Writer, f: Function) -> str:
    """A list of arguments as documentation has it."""
    lines = [f"{name}: the {name} to {f.verb}, {with_article(kind)}." for name, kind in f.arguments]
    lines.append(
        f"Raises {w.dice.pick(w.words.code.exceptions)}: if the {f.noun} is {w.dice.pick(w.words.code.adjectives)}."
    )
    lines.append(f"Returns: {with_article(f.returns)} that {w.dice.pick(w.words.code.purposes)}.")
    lines.append(f"Default: {w.dice.integer(0, 9)}, and never more than {w.dice.integer(10, 99)}.")
    mark = w.dice.pick(("- ", "* ", "    ", ":"))
    return "\n".join(f"{mark}{line}" for line in w.dice.sample(lines, w.dice.integer(2, 3)))


def _pseudocode(w: Writer, f: Function) -> str:
    """English laid out like code."""
    items, other = plural(f.noun), w.dice.pick(w.words.code.nouns)
    quality = w.dice.pick(w.words.code.adjectives)
    act = w.dice.pick(
        (
            f"skip the {f.noun};",
            f"{f.verb} the {f.noun};",
            f"add the {f.noun} to the {other};",
            f"count one {other} more;",
        )
    )
    return w.dice.pick(
        (
            f"for each {f.noun} of the {f.arguments[0][0]}:\n    if it is {quality}:\n        {act}",
            f"while there are {items}:\n    take the next {f.noun};\n    {act}",
            f"if the {f.noun} is {quality}:\n    {act}\notherwise:\n    stop;",
            f"repeat for all {items}:\n    {act}\nreturn the {quality} {other}.",
        )
    )


def _wrapped(w: Writer, f: Function) -> str:
    """Description broken into lines as in a manual."""
    words = f"{_usage(w, f)} {w.dice.pick((about, _usage))(w, f)}".split()
    indent = w.dice.pick(("", "    "))
    lines: list[str] = []
    line = indent
    for word in words:
        if len(line) + len(word) > w.dice.integer(40, _WIDTH):
            lines.append(line.rstrip())
            line = indent
        line += f"{word} "
    return "\n".join([*lines, line.rstrip()])


def _import_talk(w: Writer, f: Function) -> str:
    one, two, three = w.dice.sample(w.words.code.modules, 3)
    return w.dice.pick(
        (
            f"Import {one} and {two} and take {f.verb}_{f.noun} from {three}.",
            f"This module imports {one} from the standard library\nand {f.name} from {two}, which\n{f.purpose}.",
            f"From {one} one imports {f.name}\nas {two} or {three} has no {f.noun}",
            f"To {f.verb} the {f.noun} import {f.verb}\nfrom {one} and never from {two}",
        )
    )


def _error_talk(w: Writer, f: Function) -> str:
    first, error = f.arguments[0][0], w.dice.pick(w.words.code.exceptions)
    purpose, does = w.dice.pick(w.words.code.purposes), capitalised(third_person(f.verb))
    return w.dice.pick(
        (
            f'If `{first}` is None, the function raises {with_article(error)} ("no {f.noun}") and\n{f.purpose}.',
            f"It tries `{f.name}({first})`, and on {error} it {purpose}:\nthe {first} was None.",
            f'{does} the {f.noun}, or raises `{error}("{first} is missing")`,\nexcept when it {purpose}.',
        )
    )


class _Statement(Contract):
    """A family by one template of code and one of prose about it, and the kind of the prose."""

    kind: str
    code: str
    prose: str


def _stated() -> dict[str, Family]:
    statements = TypeAdapter(dict[str, _Statement]).validate_python(section("python_code"))
    return {name: _statement(stated) for name, stated in statements.items()}


def _statement(stated: _Statement) -> Family:
    def family(scene: Scene) -> Contrast:
        shared = values(stated.code + stated.prose, scene.branch(), CODE)
        writer = Writer(scene.dice, Split.CRITERIA)
        codes = [writer.sentence(lambda: _commented(scene, slotted(stated.code, shared))) for _ in range(_DRAWS)]
        proses = [writer.sentence(lambda: _told(scene, slotted(stated.prose, shared))) for _ in range(_DRAWS)]
        n_arguments = len({name for name in shared if name.startswith("{arg")})
        return _contrast(scene, codes, (proses, stated.kind), n_arguments)

    return family


def _commented(scene: Scene, code: str) -> str:
    """The code with a comment before, between or behind its lines."""
    one, two, three = scene.dice.sample(scene.words.code.purposes, 3)
    lines, form = code.split("\n"), scene.dice.pick((str, capitalised))
    lines.insert(scene.dice.integer(0, 1), f"# {form(one)}")
    lines.extend(scene.dice.pick(((), (f"# {form(two)}",), (f"# {form(two)}", f"# {form(three)}"))))
    return "\n".join(lines)


def _told(scene: Scene, prose: str) -> str:
    """The prose with one or two more sentences."""
    one, two = scene.dice.sample(scene.words.code.purposes, 2)
    mark, opening = scene.dice.pick((" ", "\n")), scene.dice.pick((prose, f"{prose[0].lower()}{prose[1:]}"))
    return f"{opening}{mark}{scene.dice.pick((f'It {one}.', f'(it {one})', f'it {one}; it {two}.'))}"


DESCRIPTION = CriterionDescription(
    name="python-code",
    title="Python code",
    criterion="The text is Python source code, not prose about code.",
    description=(
        "Code and prose about code share identifiers, keywords and layout. A model that switches between the two "
        "has to know "
        "at every token which of them it is in."
    ),
    positives="Lines of Python: functions, loops, imports, classes, error handling; some with a docstring.",
    negatives=(
        "Prose about the same function with its identifiers: descriptions, inline code, lists of arguments, wrapped "
        "paragraphs, and English laid out like code. Length and share of marks are matched within each contrast."
    ),
    subtypes={
        "code": "positive: Python source",
        "description": "hard negative: sentences about the same function",
        "inline-code": "hard negative: prose full of code in backticks",
        "field-list": "hard negative: a list of arguments as documentation has it",
        "pseudocode": "hard negative: English sentences laid out like code",
        "manual": "hard negative: a paragraph broken into lines, perhaps indented",
    },
    pooling="mean",
    labels={"n_arguments": "arguments of the function in question (both sides)", "n_lines": "lines of the text"},
    cues=("keywords at the start of a line, the equals sign, articles ('the', 'a') in prose",),
    caveats=(
        "No counterfactual pairs: code has no minimal edit into prose.",
        "Invented statements; real modules are longer and mix them.",
    ),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "function": _family("field-list", _function, _fields),
        "pseudocode": _family("pseudocode", _body, _pseudocode),
        "imports": _family("manual", _imports, _import_talk),
        "class": _family("manual", _class, _wrapped),
        "errors": _family("inline-code", _errors, _error_talk),
        **_stated(),
    },
    module=__name__,
    version=2,
    context=Context(sentences=(0,)),
    draws_owned=True,
)
