"""Reads the page of ``advtool report`` as its readers and their machines do."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "wbr"}


@dataclass
class Node:
    """An element with what is in it; text is a node without a tag."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list)
    words: str = ""

    @property
    def text(self) -> str:
        """All text inside, its blanks as a browser shows them."""
        return " ".join(self._raw().split())

    def _raw(self) -> str:
        return self.words + "".join(child._raw() for child in self.children)

    def all(self, *tags: str) -> list["Node"]:
        """Every element inside with one of these tags, or every element, in the order of the page."""
        found = []
        for child in self.children:
            found += [child] if child.tag and (not tags or child.tag in tags) else []
            found += child.all(*tags)
        return found

    def classed(self, name: str) -> list["Node"]:
        """Every element inside with this class."""
        return [node for node in self.all() if name in node.attributes.get("class", "").split()]

    def table(self, caption: str) -> list[list[str]]:
        """The rows of the first table with this caption, the header too."""
        table = next(node for node in self.all("table") if node.all("caption")[0].text == caption)
        return [[cell.text for cell in row.all("th", "td") if not _is_bar(cell)] for row in table.all("tr")]

    def section(self, heading: str) -> "Node":
        """The first section with this heading."""
        return next(node for node in self.all("section") if node.all("h2", "h3")[0].text == heading)


def parse(page: str) -> Node:
    """The page as a tree. An element that is not closed, or closed twice, fails."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1, [node.tag for node in reader.open]
    return reader.open[0]


def _is_bar(cell: Node) -> bool:
    return cell.attributes.get("class") == "bar"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, (self.open[-1].tag, tag, self.getpos())
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(Node("", words=data))
