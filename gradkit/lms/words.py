"""Words of names in any script, by Unicode's classes of characters.

A word consists of letters, of marks, such as the vowel signs of Hindi and Thai, and of digits. Two
spellings of a word are the same if they differ only in case, width, composed or decomposed accents,
or in characters that are never seen, such as joiners.
"""

import unicodedata

from gradkit.files import IGNORABLE


def folded(text: str) -> str:
    """Return a text as names, ids and columns are compared: without case, and blanks around it."""
    # Twice, as folding may decompose and composing may bring back capitals (Unicode, D146).
    for _ in range(2):
        text = unicodedata.normalize("NFKD", IGNORABLE.sub("", text)).casefold()
    # Turkish has a dotted and a dotless i, which other keyboards and systems mix up.
    text = text.replace("i\u0307", "i").replace("ı", "i")
    return unicodedata.normalize("NFC", text).strip()


def split_words(text: str) -> list[str]:
    """Return the words of a text, folded."""
    return "".join(c if _is_in_word(c) else " " for c in folded(text)).split()


def is_identifier(text: str) -> bool:
    r"""Return whether a text has only characters of words and joining ones, such as "_".

    Unlike a pattern's `\w`, it takes marks.
    """
    visible = IGNORABLE.sub("", text)
    return all(_is_in_word(c) or unicodedata.category(c) == "Pc" for c in visible)


def _is_in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"
