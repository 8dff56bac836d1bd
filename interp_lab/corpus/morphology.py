"""How an English word changes: plural, third person, past, participle, gerund, and the article before it."""

from __future__ import annotations

from functools import cache
from typing import Literal

from interp_lab.corpus.lexicon import lexicon

Number = Literal["singular", "plural"]
Tense = Literal["past", "present", "future"]

_VOWELS = "aeiou"
_SIBILANTS = ("s", "x", "z", "ch", "sh")
_SILENT_H = ("hour", "honest", "heir")
_YOO = ("uni", "use", "usu", "euro", "one", "ukulele", "utensil")
_BE = {
    ("past", "singular"): "was",
    ("past", "plural"): "were",
    ("present", "singular"): "is",
    ("present", "plural"): "are",
}


@cache
def _doubling() -> frozenset[str]:
    return frozenset(lexicon().verbs.doubling)


def _add_s(word: str) -> str:
    if word.endswith(_SIBILANTS) or word in {"go", "do"}:
        return word + "es"
    if word.endswith("y") and word[-2] not in _VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def plural(noun: str) -> str:
    """The plural of a noun."""
    return lexicon().nouns.irregular_plurals.get(noun) or _add_s(noun)


def counted(noun: str, number: Number) -> str:
    """The noun in that number."""
    return noun if number == "singular" else plural(noun)


def third_person(verb: str) -> str:
    """The form after 'he' in the present tense."""
    return "has" if verb == "have" else _add_s(verb)


def past(verb: str) -> str:
    """The simple past."""
    irregular = lexicon().verbs.irregular.get(verb)
    return irregular[0] if irregular else _regular_past(verb)


def participle(verb: str) -> str:
    """The form after 'has'."""
    irregular = lexicon().verbs.irregular.get(verb)
    return irregular[1] if irregular else _regular_past(verb)


def _regular_past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ied"
    return (verb + verb[-1] if verb in _doubling() else verb) + "ed"


def gerund(verb: str) -> str:
    """The -ing form."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return (verb + verb[-1] if verb in _doubling() else verb) + "ing"


def with_article(phrase: str) -> str:
    """The phrase with 'a' or 'an' before it, by sound."""
    word = phrase.lower()
    vowel_sound = (word[0] in _VOWELS and not word.startswith(_YOO)) or word.startswith(_SILENT_H)
    return f"{'an' if vowel_sound else 'a'} {phrase}"


def be(tense: Tense, number: Number) -> str:
    """The form of 'to be'."""
    return "will be" if tense == "future" else _BE[tense, number]


def do(tense: Tense, number: Number) -> str:
    """The auxiliary that carries tense in questions and negation."""
    if tense == "future":
        return "will"
    if tense == "past":
        return "did"
    return "does" if number == "singular" else "do"


def finite(verb: str, tense: Tense, number: Number) -> str:
    """The inflected verb of a plain statement."""
    if tense == "future":
        return f"will {verb}"
    if tense == "past":
        return past(verb)
    return third_person(verb) if number == "singular" else verb


def capitalised(sentence: str) -> str:
    """The sentence with its first letter in upper case."""
    return sentence[:1].upper() + sentence[1:]
