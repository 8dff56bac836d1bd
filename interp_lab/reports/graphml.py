"""GraphML, for networkx, Gephi and yEd: typed attributes of nodes and edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from interp_lab.reports.visible import visible

Kind = Literal["string", "int", "double"]
Value = str | int | float | None


def graphml_of(
    name: str,
    nodes: Iterable[tuple[str, Mapping[str, Value]]],
    edges: Iterable[tuple[str, str, Mapping[str, Value]]],
    *,
    of_nodes: Mapping[str, Kind],
    of_edges: Mapping[str, Kind],
) -> str:
    """Return a directed graph as a GraphML document; an attribute that is None is left out."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    for end, kinds in (("node", of_nodes), ("edge", of_edges)):
        lines += [
            f'<key id="{end}.{key}" for="{end}" attr.name="{key}" attr.type="{kind}"/>' for key, kind in kinds.items()
        ]
    lines.append(f'<graph id={quoteattr(name)} edgedefault="directed">')
    lines += [f"<node id={quoteattr(visible(node))}>{_data('node', values)}</node>" for node, values in nodes]
    lines += [
        f"<edge source={quoteattr(visible(source))} target={quoteattr(visible(target))}>{_data('edge', values)}</edge>"
        for source, target, values in edges
    ]
    return "\n".join([*lines, "</graph>", "</graphml>"]) + "\n"


def _data(end: str, values: Mapping[str, Value]) -> str:
    return "".join(
        f'<data key="{end}.{key}">{escape(visible(value if isinstance(value, str) else repr(value)))}</data>'
        for key, value in values.items()
        if value is not None
    )
