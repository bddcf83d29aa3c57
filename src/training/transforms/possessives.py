"""Telling the two uses of "her" and of "his" apart by what follows."""

import re

FOLLOWS = re.compile(r"""[ \t]+["'`\u2018\u201c]*(?:([^\W\d_]+)|\d)""")
"""What follows, in quotation marks or not: a word, which is captured, or a number."""
WORDS = """
    a about above across after again against ago alive all alone along also although always am
    among an and another any anyone anything anyway apart are around as aside at away be because
    been before behind below beneath beside besides between beyond both but by came can closer
    come could did do does down during each either enough especially even every everything
    except feel for forever forward from get give go had has have he hence her here herself him
    himself his how however i if immediately in inside instead into is it its just killed know
    like lying may me might more much must my myself near never nevertheless no nor not nothing
    of off on one onto our out outside over per perhaps quite remain round say shall she should
    simply since sitting so some someone something sometimes soon speak such take than that the
    their them there therefore these they think this those though through throughout till to
    today together tomorrow tonight too toward towards unable under understand unless until unto
    up upon us was we well were what whatever when whenever where wherever whether which while
    who whom whose why with within without would write yesterday yet you your
"""
NO_NOUN_PHRASE = frozenset(WORDS.split())
"""Words that begin no noun phrase after a possessive, so that "her" before one is an object.

Some may begin one all the same ("her will", "her past" do, and are left out). Read as "her" and
decided by what follows, 99 % of 77 900 "his" and 87 % of 18 100 "him" of English text (Wikipedia,
books, talk) come back as they were.
"""
PASSED = frozenset(["already", "ever", "further", "now", "once", "rather", "still", "very"])
"""Adverbs that stand before an adjective of a noun phrase ("her very own") as easily as behind an
object ("saw her once more"): the word after them decides."""


def is_possessive_her(after: str) -> bool:
    """Tell whether "her" is "his" (her hat) and not "him" (saw her).

    Of "his" the same says whether it is "her" (his hat) and not "hers" (a friend of his).

    Args:
        after: The text after the word.
    """
    found = FOLLOWS.match(after)
    if found is None:
        return False
    word = (found[1] or "").lower()
    if word in PASSED:
        return is_possessive_her(after[found.end() :])
    return word not in NO_NOUN_PHRASE
