"""Every reason that a step of this room or a person writes beside a row, in words: one row, and several.

A step that comes from elsewhere may write others; they are shown as they are, with blanks.
"""

from __future__ import annotations

REASONS = {
    # cleaning
    "letters_mended": ("letters mended", "letters mended"),
    "markup_removed": ("markup turned into text", "markup turned into text"),
    "boilerplate_removed": ("boilerplate taken out", "boilerplate taken out"),
    "blanks_tidied": ("blanks tidied", "blanks tidied"),
    "truncated": ("answer that breaks off", "answers that break off"),
    # refining
    "empty": ("empty row", "empty rows"),
    "broken_encoding": ("row with unreadable letters", "rows with unreadable letters"),
    "too_short": ("row that is too short", "rows that are too short"),
    "too_long": ("row that is too long", "rows that are too long"),
    "language": ("row in another language", "rows in another language"),
    "exact_duplicate": ("duplicate", "duplicates"),
    "near_duplicate": ("near duplicate", "near duplicates"),
    "semantic_duplicate": ("duplicate in meaning", "duplicates in meaning"),
    "leak": ("leak into the test", "leaks into the test"),
    "contradictory": ("contradiction", "contradictions"),
    "best_of_repeats": ("best of its duplicates", "best of their duplicates"),
    # redaction
    "redacted": ("redacted", "redacted"),
    "not_redacted": ("as before the redaction", "as before the redaction"),
    # selection
    "not_selected": ("not selected", "not selected"),
    # rows made by a model
    "made_questions": ("made from a document", "made from documents"),
    "made_vary": ("made as another case", "made as other cases"),
    "made_evolve": ("made harder", "made harder"),
    "made_invert": ("another question made to an answer", "other questions made to answers"),
    # rows in other words
    "reworded_synonym": ("reworded by synonyms", "reworded by synonyms"),
    "reworded_casing": ("reworded in other case", "reworded in other case"),
    "reworded_typos": ("reworded with typing mistakes", "reworded with typing mistakes"),
    "reworded_spacing": ("reworded with other blanks", "reworded with other blanks"),
    "reworded_numbers": ("reworded with other forms of numbers", "reworded with other forms of numbers"),
    "reworded_paraphrase": ("paraphrased by a model", "paraphrased by a model"),
    # columns mapped anew
    "does_not_fit": ("row that does not fit the mapping", "rows that do not fit the mapping"),
    "fits_now": ("set aside before, fits now", "set aside before, fit now"),
    "mapped_anew": ("mapped anew", "mapped anew"),
    # by hand
    "edited_by_hand": ("edited by hand", "edited by hand"),
    "removed_by_hand": ("removed by hand", "removed by hand"),
}


def reason_words(name: str, count: int = 1) -> str:
    """A reason as the store holds it, for a person: "near duplicates"."""
    plain = name.replace("_", " ")
    return REASONS.get(name, (plain, plain))[count != 1]
