"""Finds who a text says that somebody is, and who is said to have made it.

Names are found by what stands around them, in several languages, so that nobody has to know them
before. A short list of well-known organisations finds those that stand elsewhere; nothing is
decided by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

MOST_TEXT = 200_000
"""Characters of a text that are looked through."""

MOST_NAMES = 200
"""Names of one text that are told."""

KNOWN = (
    "01.AI", "Ai2", "AI21", "Alibaba", "Allen Institute", "Amazon", "Anthropic", "Apple", "Arcee",
    "BAAI", "Baidu", "BigScience", "ByteDance", "ChatGPT", "Claude", "Cohere", "Databricks",
    "DeepSeek", "EleutherAI", "Gemini", "Gemma", "Google", "GPT-4", "Hugging Face", "IBM",
    "InternLM", "LG AI Research", "Liquid AI", "Llama", "Meta AI", "Microsoft", "MiniMax",
    "Mistral", "Moonshot AI", "Kimi", "NVIDIA", "Nous Research", "OpenAI", "Perplexity", "Qwen",
    "Snowflake", "Stability AI", "Technion", "Tencent", "TII", "Upstage", "xAI", "Zhipu",
    "百度", "阿里巴巴", "通义千问", "腾讯",
    "智谱",
)  # fmt: skip
"""Names that are found wherever they stand, besides those that patterns find."""

_WORD = r"[\w.+&'\u2019-]*\w"
_BEGIN = rf"(?:[A-Z\u00c0-\u00de\u0400-\u042f]{_WORD}|[A-Z]|[a-z]{{1,12}}[A-Z0-9]{_WORD})"
_LINK = r"(?:of|for|de|do|da|du|di|von|van|the|and|&)"
_NAME = rf"({_BEGIN}(?:\s(?:{_LINK}\s)?(?:{_BEGIN}|[0-9][\w.]*)){{0,5}})"
_QUOTED = r"[\"'\u201c\u2018\u00ab\u300c*_`]{0,3}"
_ANY = r"([A-Za-z0-9][\w.+-]{0,40}\w)"
_HAN = r"([A-Za-z0-9.\-\u00b7\u30a0-\u30ff\u4e00-\u9fff]{1,24}?)"
_HAN_END = r"(?=[\s\uff0c,\u3002.\uff01!\u3001\uff1b;\uff08(\uff1a:\u300d\"]|$|的|由)"
_HANGUL = r"([A-Za-z0-9.\-\uac00-\ud7af]{1,24}?)"


def _made(verbs: str, by: str) -> str:
    return rf"\b(?i:{verbs})\s+(?i:{by})\s*{_QUOTED}{_NAME}"


_IS = {
    "English": (
        rf"\b(?i:you are|you're|i am|i'm|your name is|my name is|act as)\s+(?:the\s)?"
        rf"{_QUOTED}{_NAME}",
        rf"\b(?i:named|called|known as)\s+{_QUOTED}{_ANY}",
    ),
    "Portuguese": (
        rf"\b(?i:você é|tu és|eu sou|seu nome é|meu nome é|me chamo)\s+"
        rf"(?:[oa]\s)?{_QUOTED}{_NAME}",
        rf"\b(?i:chamad[oa])\s+{_QUOTED}{_ANY}",
    ),
    "Spanish": (
        rf"\b(?i:eres|yo soy|soy|tu nombre es|mi nombre es|me llamo)\s+{_QUOTED}{_NAME}",
        rf"\b(?i:llamad[oa])\s+{_QUOTED}{_ANY}",
    ),
    "French": (
        rf"\b(?i:tu es|vous êtes|je suis|je m'appelle)\s+{_QUOTED}{_NAME}",
        rf"\b(?i:nommée?|appelée?)\s+{_QUOTED}{_ANY}",
    ),
    "German": (
        rf"\b(?i:du bist|sie sind|ich bin|ich heiße|dein name ist)\s+{_QUOTED}{_NAME}",
        rf"\b(?i:namens)\s+{_QUOTED}{_ANY}",
    ),
    "Italian": (rf"\b(?i:tu sei|sei|io sono|il tuo nome è)\s+{_QUOTED}{_NAME}",),
    "Indonesian": (rf"\b(?i:kamu adalah|anda adalah|saya adalah)\s+{_QUOTED}{_NAME}",),
    "Vietnamese": (rf"(?i:bạn là|tôi là)\s+{_QUOTED}{_NAME}",),
    "Russian": (
        r"(?i:ты|вы|я|тебя зовут)"
        rf"\s*[\u2014\u2013-]?\s*{_QUOTED}{_NAME}",
    ),
    "Chinese": (
        rf"(?:你|我|您)(?:是|叫|的名字是|名叫){_QUOTED}{_HAN}{_HAN_END}",
        rf"(?:名为|名叫|叫做){_QUOTED}{_HAN}{_HAN_END}",
    ),
    "Japanese": (
        rf"(?:あなた|私)は{_QUOTED}{_HAN}(?=です|\u3001|という|\u300d)",
    ),
    "Korean": (
        rf"(?:당신은|너는|저는|나는)\s*{_QUOTED}{_HANGUL}"
        r"(?=입니다|이라는|라는|이에요|이다|,)",
    ),
    "Arabic": (r"(?:أنت|أنا)\s+([A-Za-z][\w.-]*|[\u0621-\u064a]+)",),
    "Hindi": (r"(?:आप|तुम|मैं)\s+(\S{1,40})\s+(?:हैं|हो|हूँ)",),
}  # fmt: skip
"""Patterns of who somebody is, by language; the first group is the name."""

_MADE = {
    "English": (
        _made(
            r"(?:created|developed|trained|made|built|designed|released|published|fine-?tuned"
            r"|produced|operated|maintained|provided|pre-?trained|offered)"
            r"(?:\s(?:(?:and|&)\s\w+|from\sscratch|in-house))?",
            r"by(?:\s(?:the|a team at|researchers at|engineers at))?",
        ),
    ),
    "Portuguese": (
        _made(
            r"(?:criad|desenvolvid|treinad|feit|construíd|produzid|lançad|mantid)[oa]s?",
            r"(?:pel[oa]s?|por)(?:\s[oa])?",
        ),
    ),
    "Spanish": (
        _made(r"(?:cread|desarrollad|entrenad|hech|construid)[oa]s?", r"por(?:\s(?:el|la))?"),
    ),
    "French": (
        _made(
            r"(?:créé|développé|entraîné|conçu|fabriqué)e?",
            r"par(?:\s(?:la|le|les|l'))?",
        ),
    ),
    "German": (
        _made(r"(?:entwickelt|erstellt|trainiert|geschaffen|gebaut)", r"von(?:\s(?:der|dem))?"),
        rf"\bvon\s(?:der\s|dem\s)?{_NAME}\s(?:entwickelt|erstellt|trainiert|geschaffen|gebaut)",
    ),
    "Italian": (_made(r"(?:creat|sviluppat|addestrat|realizzat)[oa]", r"da(?:l|lla)?"),),
    "Indonesian": (_made(r"(?:dibuat|dikembangkan|dilatih)", r"oleh"),),
    "Vietnamese": (
        rf"(?:phát triển|tạo ra|huấn luyện|xây dựng) bởi\s+{_NAME}",
    ),
    "Russian": (
        r"(?i:создан|разработан"
        r"|обучен)\w*\s+(?:компанией\s+"
        rf"|командой\s+)?{_QUOTED}{_NAME}",
    ),
    "Chinese": (
        r"由([A-Za-z0-9.\-\u00b7\u4e00-\u9fff ]{1,30}?)(?:公司|团队)?(?:自主|独立)?"
        r"(?:研发|开发|训练|创建|创造|打造|推出|制作|设计|開發|訓練)",
    ),
    "Japanese": (
        r"([A-Za-z0-9.\-\u30a0-\u30ff\u4e00-\u9fff]{1,30})(?:によって|が|により)"
        r"(?:開発|作成|訓練|学習|作ら)",
    ),
    "Korean": (
        r"([A-Za-z0-9.\-\uac00-\ud7af]{1,30}?)(?:에서|이|가|에 의해)\s*"
        r"(?:개발|만든|만들|훈련|학습)",
    ),
    "Arabic": (
        r"(?:طورتك|طورته|من تطوير|بواسطة)\s+"
        r"(?:شركة\s+)?([A-Za-z][\w.-]*|[\u0621-\u064a]+)",
    ),
    "Hindi": (
        r"(\S{1,40})\s+द्वारा\s+(?:विकसित|बनाया|निर्मित|प्रशिक्षित)",
    ),
}  # fmt: skip
"""Patterns of who has made something, by language; the first group is the name."""

LANGUAGES = tuple(_IS)
"""Languages that names are found in."""


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the kinds of names with their patterns, which take long to compile."""
    return tuple(
        (kind, re.compile(pattern))
        for kind, languages in (("is", _IS), ("made by", _MADE))
        for patterns in languages.values()
        for pattern in patterns
    )


_HUB = re.compile(
    r"huggingface\.co/(?!datasets/|spaces/|docs/|blog/|papers/|collections/|models\b)"
    r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})"
)

_KNOWN = re.compile(
    r"(?<![\w/])(" + "|".join(sorted(map(re.escape, KNOWN), key=len, reverse=True)) + r")(?![a-z])"
)

_NO_NAME = re.compile(
    r"(?:一[个名位款]|由|谁|A|An|The|Not|Sure|Here|Sorry|Happy|Glad|If|AI|In|On|To|As"
    r"|an?|the|to|as|by|for|with|from|when|into|on|in|after|upon|only|once|via|using|before"
    r"|Helpful|Um|Uma|Un|Una|Une|Ein|Eine|Assistant)(?:\s|$)|一[个名位款]"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a text."""

    name: str
    kind: str
    """``"is"`` of who somebody is said to be, ``"made by"`` of a maker, ``"link"`` of a model that
    is linked to, ``"known"`` of a well-known name that stands there."""
    said: str
    """The words around it."""


def names_in(text: str) -> list[Name]:
    """Return the names in a text, each once by kind, in the order of kinds and of the text.

    Examples
    --------
    >>> [(each.name, each.kind) for each in names_in("You are Rio, created by IplanRIO.")]
    [('Rio', 'is'), ('IplanRIO', 'made by')]
    >>> [each.name for each in names_in("你是小明,由某公司开发")]
    ['小明', '某']
    """
    text = text[:MOST_TEXT]
    found: dict[tuple[str, str], Name] = {}
    for kind, pattern in (*_patterns(), ("link", _HUB), ("known", _KNOWN)):
        for match in pattern.finditer(text):
            name = match[1].strip(" .,;:'\"*_`").removesuffix("'s")
            if not name or _NO_NAME.match(name):
                continue
            is_told = any(name == other for other, of in found if of != "link")
            if (name, kind) in found or (kind == "known" and is_told):
                continue
            if len(found) >= MOST_NAMES:
                return list(found.values())
            begin, end = max(match.start() - 40, 0), match.end() + 60
            found[name, kind] = Name(name, kind, " ".join(text[begin:end].split()))
    return list(found.values())


def says_who(text: str) -> bool:
    """Return whether a text says who somebody is, or who has made it.

    >>> says_who("You are Rio."), says_who("You are a helpful assistant.")
    (True, False)
    """
    return any(each.kind in ("is", "made by") for each in names_in(text))
