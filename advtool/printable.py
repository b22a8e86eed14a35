"""Text of others as it may reach a terminal, a table or a page."""


def printable(text: object, keep: str = "") -> str:
    r"""The text with its control characters escaped, such as ``\\x1b``, which begins a command to a terminal.

    Letters of all scripts stay. Marks that turn the direction of a text and half surrogate pairs are escaped too.

    Args:
        text: anything; its ``str``.
        keep: control characters that stay, such as a line break.
    """
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )
