"""The three sizes in which a table can be made; what each means is a line of ``SCALES`` in the table's module."""

from enum import StrEnum


class Scale(StrEnum):
    """How much is spent on a reproduction."""

    smoke = "smoke"
    """everything runs once, on a slice: under two minutes, and its figures mean nothing"""
    cpu = "cpu"
    """at most twenty minutes on two cores; what was cut down is in the result"""
    paper = "paper"
    """the paper's protocol in full"""
