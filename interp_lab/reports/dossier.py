"""A dossier as a self-contained HTML page and as Markdown; both show what dossier.json holds."""

from __future__ import annotations

from interp_lab.contracts.dossier import Dossier
from interp_lab.reports.sheet import html_templates, markdown_templates


def render_dossier(dossier: Dossier) -> str:
    """Return a complete HTML document; equal dossiers give equal pages."""
    return html_templates().get_template("dossier.html.j2").render(dossier=dossier)


def render_dossier_markdown(dossier: Dossier) -> str:
    """Return the dossier as GitHub-flavoured Markdown that ends in one newline."""
    return markdown_templates().get_template("dossier.md.j2").render(dossier=dossier).strip() + "\n"
