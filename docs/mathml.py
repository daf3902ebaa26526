"""Formulas of the documentation as MathML, which browsers draw without scripts or a network.

A fenced block of the language ``math`` and inline code that begins with ``#!math`` hold LaTeX.
"""

from typing import Any

from latex2mathml.converter import convert


def inline(source: str, language: str, css_class: str, md: Any) -> str:
    """A formula within a line; the signature is that of pymdownx.inlinehilite."""
    return convert(source)


def block(source: str, language: str, css_class: str, options: Any, md: Any, **_: Any) -> str:
    """A formula of its own; the signature is that of pymdownx.superfences."""
    return f'<div class="{css_class}">{convert(source, display="block")}</div>'
