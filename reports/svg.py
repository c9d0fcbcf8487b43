"""From the SVG that matplotlib writes to one that can live inside a page, beside many others.

Ids get a prefix, sentinel colours become CSS variables (so that one drawing serves the light and
the dark theme), metadata and global styles go. Path data is rounded to hundredths of a point;
transforms are left as they are.
"""

import re
from xml.sax.saxutils import quoteattr

# Drawn with these colours, shown with those of the page.
INK, GRID, GUIDE, ALARM = "#010203", "#020304", "#030405", "#040506"
MEASURED, REFERENCE, EXACT, BOUND = "#050607", "#060708", "#070809", "#08090a"
SERIES = tuple(f"#{k:02x}{k + 1:02x}{k + 2:02x}" for k in range(9, 21))

PAGE_COLOURS = {
    INK: "currentColor",
    GRID: "var(--grid)",
    GUIDE: "var(--guide)",
    ALARM: "var(--alarm)",
    MEASURED: "var(--measured)",
    REFERENCE: "var(--reference)",
    EXACT: "var(--exact)",
    BOUND: "var(--bound)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES, start=1)},
}


def inline(text: str, prefix: str, label: str) -> str:
    """Make a matplotlib SVG fit for a page.

    Args:
        text: a whole SVG document.
        prefix: put before every id; unique on the page.
        label: what a reader who cannot see it is told.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style\b.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = _root(text, label)
    text = _prefixed(text, prefix)
    text = _recoloured(text)
    text = re.sub(r' d="([^"]*)"', lambda found: f' d="{_rounded(found[1])}"', text)
    return re.sub(r"\n\s*", "\n", text).strip()


def _root(text: str, label: str) -> str:
    box = re.search(r'viewBox="([^"]*)"', text)
    size = box[1] if box else "0 0 100 100"
    root = f'<svg viewBox="{size}" role="img" aria-label={quoteattr(label)}>'
    return re.sub(r"<svg\b[^>]*>", lambda _: root, text, count=1)


def _prefixed(text: str, prefix: str) -> str:
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'xlink:href="#', f'href="#{prefix}-', text)
    return re.sub(r"url\(#", f"url(#{prefix}-", text)


def _recoloured(text: str) -> str:
    for drawn, shown in PAGE_COLOURS.items():
        text = text.replace(drawn, shown)
    return re.sub(r"font: (\d+(?:\.\d+)?)px [^;\"]*", r"font-size: \1px", text)


def _rounded(path: str) -> str:
    return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", path)
