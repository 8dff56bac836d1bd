"""Docstring: the text stops inside a docstring."""

from __future__ import annotations

from dataclasses import dataclass

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import Context, Contrast, Criterion, Side
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.families.technical import function
from interp_lab.corpus.morphology import capitalised, third_person, with_article
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer

_INDENT = "    "


@dataclass(frozen=True)
class _Place:
    """Code up to where a docstring may begin, the words that would stand in it, and what it would describe."""

    head: str
    words: str
    holder: str
    more: str

    def contrast(self, inside: str, outside: str, kind: str) -> Contrast:
        """Both sides go on with the same words after `inside` or `outside`."""
        return Contrast(
            Side(f"{self.head}{inside}", "docstring"),
            Side(f"{self.head}{outside}", kind),
            {"topic": "code", "holder": self.holder, "n_lines": self.words.count("\n") + 1},
        )


def _place(scene: Scene, *, lines: bool = False, cut: bool = True) -> _Place:
    """A function or class, and a text about it that may stop in mid-sentence."""
    writer, dice = Writer(scene.dice, Split.CRITERIA), scene.dice
    made, code = function(writer), scene.words.code
    names = [name for name, _ in made.arguments]
    if dice.chance(0.7):
        holder, opening = "function", f"def {made.name}({', '.join(names)}):"
    else:
        holder, opening = "class", f"class {dice.pick(code.classes)}{capitalised(made.noun)}:"
    before = dice.pick(
        ("", f"import {dice.pick(code.modules)}\n\n\n", f"{made.noun.upper()} = {dice.integer(2, 99)}\n\n\n")
    )
    detail = (
        f"{dice.pick(('Args', 'Note', 'Usage'))}:\n{_INDENT}    {names[0]}: the {names[0]} to {made.verb} before it"
    )
    purpose = dice.pick(code.purposes)
    summary = dice.pick(
        (
            f"{capitalised(made.verb)} the {made.noun} and return {with_article(made.returns)} that {purpose}",
            f"{capitalised(third_person(made.verb))} every {made.noun} of the {names[-1]} and {purpose}",
            f"{capitalised(made.purpose)} and {purpose}",
        )
    )
    words = f"{summary}.\n\n{_INDENT}{detail}" if lines else _cut(scene, summary) if cut else summary
    return _Place(f"{before}{opening}\n{_INDENT}", words, holder, dice.pick(code.purposes))


def _cut(scene: Scene, sentence: str) -> str:
    """The sentence, or its first words."""
    words = sentence.split()
    return " ".join(words[: scene.dice.integer(max(5, len(words) - 5), len(words))])


def _comment(scene: Scene) -> Contrast:
    place = _place(scene)
    mark = scene.dice.pick(("#", "##", "# ---"))
    return place.contrast(f'"""⟦{place.words}⟧', f"{mark} ⟦{place.words}⟧", "comment")


def _assigned(scene: Scene) -> Contrast:
    place = _place(scene, lines=scene.dice.chance(0.5))
    name = scene.dice.pick(scene.words.code.nouns)
    return place.contrast(f'"""⟦{place.words}⟧', f'{name} = """⟦{place.words}⟧', "assigned-string")


def _passed(scene: Scene) -> Contrast:
    place = _place(scene, lines=scene.dice.chance(0.5))
    call = scene.dice.pick(("print", "write", "log", "warn", "show"))
    return place.contrast(f'"""⟦{place.words}⟧', f'{call}("""⟦{place.words}⟧', "argument")


def _closed(scene: Scene) -> Contrast:
    place = _place(scene, cut=False)
    more = f"It {place.more} and"
    return place.contrast(
        f'"""{place.words}.\n\n{_INDENT}⟦{more}⟧', f'"""{place.words}."""\n\n{_INDENT}# ⟦{more}⟧', "after-docstring"
    )


def _message(scene: Scene) -> Contrast:
    place = _place(scene)
    name, error = scene.dice.pick(scene.words.code.nouns), scene.dice.pick(scene.words.code.exceptions)
    lead = scene.dice.pick((f"{name} = ", f"raise {error}("))
    return place.contrast(f'"""⟦{place.words}⟧', f'{lead}"⟦{place.words}⟧', "plain-string")


def _doctest(scene: Scene) -> Contrast:
    place = _place(scene, cut=False)
    name, value = scene.dice.pick(scene.words.code.nouns), scene.dice.integer(2, 99)
    return place.contrast(
        f'"""{place.words}\n\n{_INDENT}⟦>>> {name} = {value}\n{_INDENT}>>> {name}⟧',
        f"# {place.words}\n\n{_INDENT}⟦{name} = {value}\n{_INDENT}print({name}⟧",
        "code",
    )


def _module(scene: Scene) -> Contrast:
    place = _place(scene, lines=scene.dice.chance(0.3))
    name = scene.dice.pick(scene.words.code.nouns).upper()
    module = _Place(
        scene.dice.pick(("", "# coding: utf-8\n", "#!/usr/bin/env python3\n")), place.words, "module", place.more
    )
    words = module.words.replace(f"\n{_INDENT}", "\n")
    tail = f" with {scene.role()}s and the {scene.noun()}"
    return module.contrast(f'"""⟦{words}{tail}⟧', f'{name} = """⟦{words}{tail}⟧', "assigned-string")


DESCRIPTION = CriterionDescription(
    name="docstring",
    title="Inside a docstring",
    criterion="The text stops inside a Python docstring.",
    description=(
        "Inside a docstring English follows and three quotes will close it. A model has to keep from the opening "
        "quotes on "
        "that it is in one, and tell it from comments, other strings, and code after the docstring has closed."
    ),
    positives=(
        "Python that stops inside the docstring of a function, class or module; the span is the last stretch of it."
    ),
    negatives=(
        "The same words as a comment, as another string (also in three quotes), or after the docstring was closed."
    ),
    subtypes={
        "docstring": "positive: inside a docstring",
        "comment": "negative: the same words behind a number sign",
        "assigned-string": "hard negative: a string in three quotes that is assigned, so no docstring",
        "argument": "hard negative: a string in three quotes that is passed to a call",
        "after-docstring": "hard negative: a comment after the docstring was closed",
        "plain-string": "hard negative: a string in plain quotes at the same place",
        "code": "hard negative: statements where a docstring shows an example session",
    },
    pooling="last",
    labels={
        "holder": "what the docstring would describe: function, class or module (both sides)",
        "n_lines": "lines of the words in question (both sides)",
    },
    cues=("three quotes straight after a colon and line break",),
    caveats=("Invented functions; docstrings of the standard library are longer and more varied.",),
)

CRITERION = Criterion(
    DESCRIPTION,
    {
        "comment": _comment,
        "assigned": _assigned,
        "passed": _passed,
        "closed": _closed,
        "message": _message,
        "doctest": _doctest,
        "module": _module,
    },
    module=__name__,
    version=2,
    context=Context(sentences=(0,)),
)
