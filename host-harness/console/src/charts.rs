//! Charts, as SVG that a page has in it.
