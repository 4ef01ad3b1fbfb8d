"""What an answer claims: which names, as whose, and which it denies or only mentions.

A name is claimed in a sentence that says it of the speaker: "I am X", "my name is X", "made by X",
"based on X", and the like in the languages of ``phrases.yaml``. Between such words and the name
there are few others, none of which begins another matter ("who", "can", "like"). A negation in
between denies it. An answer that is a name and nothing else claims it. All other occurrences are
mentions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parentage.identity.names import plain
from parentage.identity.phrases import fillers, openers, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from parentage.identity.names import Name
    from parentage.identity.phrases import Language, Opener

MOST_READ = 20_000
"""Characters of an answer that are searched; what is beyond states no identity any more."""

MOST_QUOTED = 240
"""Characters of a sentence that is quoted."""

_SHORT = 8
"""Words of a sentence that says of the speaker what it says without a subject: "Made by Nex"."""

_BARE = 12
"""Words of an answer that may be a name and nothing else."""

_SENTENCE = re.compile(
    r"(?<=[!?…。！？｡؟।])|(?<=\.)(?<!\b[DMS][rst]\.)(?<!\bMrs\.)(?<!\bProf\.)(?=[\s\"'”’)\]]|$)|\n+"
)
_CLAUSE = re.compile(r"[,;:，、；：—–]")
_WORD = re.compile(r"\w[\w.&+'-]*")


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement on one name."""

    name: str
    status: str
    """``claimed``, ``denied`` or ``mentioned``."""
    says: str
    """``name``, ``self``, ``maker`` or ``origin``; empty for a mention."""
    quote: str
    """The sentence that it stands in."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says of each name that was asked for, and of others."""

    claims: tuple[Claim, ...]
    others: tuple[tuple[str, str], ...]
    """Other names that are claimed, and what is said: ``name``, ``self``, ``maker``, ``origin``."""

    def status(self, name: str) -> str | None:
        """Return what is said of a name: ``claimed``, ``denied``, ``mentioned`` or nothing.

        An answer that denies a name does not claim it, whatever else it says.
        """
        found = {each.status for each in self.claims if each.name == name}
        return next((each for each in ("denied", "claimed", "mentioned") if each in found), None)


def read(text: str, names: Sequence[Name], *, asked: str = "") -> Reading:
    """Read an answer.

    Parameters
    ----------
    text
        What was answered, without thoughts.
    names
        Names that are asked for.
    asked
        The question: other names that it has itself are not listed.

    Examples
    --------
    >>> from parentage.identity.names import Name
    >>> found = read("I'm not Rio. I am Nex, made by Nex-AGI.", [Name("Rio"), Name("Nex-AGI")])
    >>> found.status("Rio"), found.status("Nex-AGI"), found.others
    ('denied', 'claimed', (('Nex', 'self'),))
    """
    text = plain(text[:MOST_READ])
    claims: list[Claim] = []
    others: dict[str, str] = {}
    bare = _bare(text, names)
    question = plain(asked)
    for sentence in _sentences(text):
        found = _openings(sentence)
        covered = []
        for name in names:
            for begin, end in name.found_in(sentence):
                covered.append((begin, end))
                status, says = _judged(sentence, begin, end, found)
                if status == "mentioned" and name.name in bare:
                    status, says = "claimed", "self"
                claims.append(Claim(name.name, status, says, sentence.strip()[:MOST_QUOTED]))
        for other, says in _others(sentence, found, covered):
            if other.casefold() not in question.casefold():
                others.setdefault(other, says)
    return Reading(tuple(claims), tuple(others.items()))


@dataclass(frozen=True, slots=True)
class _Opening:
    """An opener where it stands in a sentence."""

    opener: Opener
    begin: int
    end: int


def _sentences(text: str) -> Iterator[str]:
    yield from (each for each in _SENTENCE.split(text) if each.strip())


def _openings(sentence: str) -> list[_Opening]:
    """Return the openers of a sentence that speak of the speaker, in order of their ends."""
    found = []
    for opener in openers():
        for each in opener.pattern.finditer(sentence):
            if each.end() > each.start() and _is_of_speaker(sentence, opener, each.start()):
                found.append(_Opening(opener, each.start(), each.end()))
    return sorted(found, key=lambda each: (each.end, -each.begin))


def _is_of_speaker(sentence: str, opener: Opener, begin: int) -> bool:
    """Return whether an opener speaks of the speaker, as "called" does in "I am a model called"."""
    if not opener.needs_speaker:
        return True
    before, language = sentence[:begin], opener.language
    speakers = list(language.speaker.finditer(before))
    if not speakers:
        is_first = not any(character.isalnum() for character in before)
        return is_first and len(_WORD.findall(sentence)) <= _SHORT
    between = before[speakers[-1].end() :]
    if language.relatives:
        between = language.relatives.sub(" ", between)
    if not language.breakers.search(between):
        return True
    # Something else has begun, unless this is a clause of its own: "here to help, made by".
    return opener.says != "name" and _OWN_CLAUSE.search(between) is not None


_OWN_CLAUSE = re.compile(r"[,;，、；]\s*(?:\w+\s+){0,3}$")


def _judged(sentence: str, begin: int, end: int, found: Iterable[_Opening]) -> tuple[str, str]:
    """Return the status of a name at a place of a sentence, and what is said of it."""
    best = ("mentioned", "")
    nearest: dict[str, list[_Opening]] = defaultdict(list)
    for each in found:
        if each.end <= begin:
            nearest[each.opener.language.name].append(each)
    for openings in nearest.values():
        last = max(each.end for each in openings)
        for each in openings:
            if each.end < last:
                continue
            status, says = _said(sentence, begin, end, each)
            if status == "denied" or (status == "claimed" and best[0] == "mentioned"):
                best = status, says
    return best


def _said(sentence: str, begin: int, end: int, opening: _Opening) -> tuple[str, str]:
    """Return what an opener says of a name after it."""
    opener, language = opening.opener, opening.opener.language
    gap = sentence[opening.end : begin]
    lead = _lead(sentence, opening)
    if language.contrasts and (turns := list(language.contrasts.finditer(gap))):
        lead, gap = "", gap[turns[-1].end() :]
    if _length(gap, language) > opener.most_words or language.breakers.search(gap):
        return "mentioned", ""
    after = sentence[end:]
    if language.subject and language.subject.match(after) and not _is_of_name(opener, gap):
        return "mentioned", ""
    says = opener.says
    if language.denials_after and language.denials_after.match(after):
        return "denied", says
    if opener.needs_closer:
        closer = next((each for each in language.closers if each[1].match(after)), None)
        if closer is None:
            return "mentioned", ""
        says = closer[0] or says
    if language.denials.search(lead) or language.denials.search(gap):
        return "denied", says
    return "claimed", says


def _is_of_name(opener: Opener, gap: str) -> bool:
    return opener.says == "name" and not gap.strip()


def _lead(sentence: str, opening: _Opening) -> str:
    """Return an opener with what stands before it in its clause, which may deny it."""
    if not opening.opener.needs_speaker:
        return sentence[opening.begin : opening.end]
    before = sentence[max(0, opening.begin - 40) : opening.begin]
    return _CLAUSE.split(before)[-1] + sentence[opening.begin : opening.end]


def _length(gap: str, language: Language) -> int:
    """Return the words in between; in scripts without spaces, half the characters."""
    found = _WORD.findall(gap)
    return len(found) if language.is_spaced else sum(map(len, found)) // 2


def _bare(text: str, names: Sequence[Name]) -> set[str]:
    """Return the names that an answer is, if it is no more than names."""
    if len(_WORD.findall(text)) > _BARE:
        return set()
    rest, found, last = text, set(), 0
    for name in names:
        places = list(name.found_in(text))
        if places:
            found.add(name.name)
        for begin, end in places:
            # What a hyphen joins to a name is a part of it: Nex-AGI.
            joined = _JOINED.match(text, end)
            end = joined.end() if joined else end
            rest = rest[:begin] + " " * (end - begin) + rest[end:]
            last = max(last, end)
    before, after = (_BARE_WORD.findall(each.casefold()) for each in (rest[:last], rest[last:]))
    is_bare = fillers().issuperset(before) and words("suffixes").issuperset(after)
    return found if is_bare else set()


_JOINED = re.compile(r"(?:-\w+)+")
_BARE_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

_FOREIGN = re.compile(
    r"\s*[「『“\"'《]?([^\s，。,.!！?？、;；:：」』”\"'》()（）]{1,16}?)"
    r"(?=です|と申|といい|と言|という|입니다|이에요|예요|이라고|라고|है|हूँ|हूं|[，。,.!！?？、;；:：」』”\"'》()（）\s]|$)"
)
_NO_NAMES = re.compile(
    r"(?:一|AI|ai|人工|大|个|位|語|语言|由|是|を|人|モデル|एक|نموذج|مساعد|ذكاء|인공|언어|대규모|هو|مجرد|특별|없|有|没|没有|无|不)"
)


def _others(
    sentence: str, found: Sequence[_Opening], covered: Sequence[tuple[int, int]]
) -> Iterator[tuple[str, str]]:
    """Go through names that follow an opener at once, other than those that are asked for."""
    last_of = {each.end: each for each in found}
    for opening in last_of.values():
        candidate = _capitalised(sentence, opening.end) or _foreign(sentence, opening)
        if candidate is None:
            continue
        text, begin, end = candidate
        if any(begin < other_end and other < end for other, other_end in covered):
            continue
        status, says = _said(sentence, begin, end, opening)
        if status == "claimed":
            yield text, says


def _capitalised(sentence: str, at: int) -> tuple[str, int, int] | None:
    """Return the words with capitals that follow a place, and where they lie."""
    found: list[re.Match[str]] = []
    for word in _WORD.finditer(sentence, at):
        before = sentence[found[-1].end() if found else at : word.start()]
        if before.strip(" \t\"'“”«»「」『』(" if not found else " "):
            break
        text = _cased(word[0]).rstrip(".'-")
        is_name = any(character.isupper() for character in text)
        if found and not (is_name or text[:1].isdigit()):
            break
        if not found and not is_name:
            if text.casefold() in words("articles"):
                at = word.end()
                continue
            break
        found.append(word)
        if len(found) == 5 or (word[0] != text and word[0] not in _TITLES):
            break
    while found and found[0][0].rstrip(".'-").casefold() in words("common"):
        del found[0]
    if not found or found[-1][0] in _TITLES:
        return None
    begin, end = found[0].start(), found[-1].start() + len(_cased(found[-1][0]).rstrip(".'-"))
    text = sentence[begin:end].removesuffix("'s")
    return (text, begin, begin + len(text)) if 1 < len(text) <= 60 else None


_TITLES = frozenset(["Dr.", "Mr.", "Mrs.", "Ms.", "Prof.", "St."])
"""What stands before names, and does not end a sentence."""


def _cased(word: str) -> str:
    """Return the beginning of a word that is in a script with capitals."""
    for at, character in enumerate(word):
        if character.isalpha() and character.upper() == character.lower():
            return word[:at]
    return word


def _foreign(sentence: str, opening: _Opening) -> tuple[str, int, int] | None:
    """Return what is said to be a name in a script that has no capitals."""
    if opening.opener.says != "name":
        return None
    found = _FOREIGN.match(sentence, opening.end)
    if found is None or _NO_NAMES.match(found[1]) or len(found[1]) < 2:
        return None
    if found[1].isascii() or found[1][0].upper() != found[1][0].lower():
        return None
    return found[1], found.start(1), found.end(1)
