"""Parts of texts by their definitions: the last number of a text, and its digits in another order."""

DIGITS = "0123456789"


def last_number(text):
    """Where the last number stands, ``(first, last)``; None if there is none, or what is there is not one number."""
    places = [at for at, char in enumerate(text) if char in DIGITS]
    if not places:
        return None
    first, last = places[-1], places[-1] + 1
    while first and (
        text[first - 1] in DIGITS
        or (text[first - 1] in ".," and text[first] in DIGITS and first > 1 and text[first - 2] in DIGITS)
    ):
        first -= 1
    whole, *decimals = text[first:last].split(".")
    before = text[:first]
    thousands = all(len(group) == 3 for group in whole.split(",")[1:])
    if len(decimals) > 1 or "," in "".join(decimals) or not thousands or before.endswith("."):
        return None
    unsigned = before[:-1] if before.endswith(("+", "-")) else before
    exponent = unsigned.endswith(("e", "E")) and unsigned[-2:-1] != "" and unsigned[-2] in DIGITS + "."
    return None if exponent else (first, last)


def digits_of(text, span):
    return "".join(char for char in text[slice(*span)] if char in DIGITS)


def with_digits(text, span, digits):
    """The text with other digits in its number, filled in from the right; those left over stand in front."""
    left, written = list(digits), ""
    for char in reversed(text[slice(*span)]):
        if char not in DIGITS:
            written = char + written
        elif left:
            written = left.pop() + written
    return text[: span[0]] + "".join(left) + written + text[span[1] :]
