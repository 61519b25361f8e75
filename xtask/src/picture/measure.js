// Writes where this page's letters are drawn into an element that `--dump-dom` prints: a line for each with its code
// point, left edge, right edge and baseline.
const measured = [];
const range = document.createRange();
for (const text of document.querySelectorAll("text")) {
  let offset = 0;
  let drawn = 0;
  for (const letter of text.firstChild.data) {
    range.setStart(text.firstChild, offset);
    range.setEnd(text.firstChild, (offset += letter.length));
    // Collapsed blanks have no width, and SVG does not count them. SVG's own places include `textLength`, a range's don't.
    if (range.getBoundingClientRect().width > 0) {
      const { x, y } = text.getStartPositionOfChar(drawn);
      measured.push([letter.codePointAt(0), x, text.getEndPositionOfChar(drawn).x, y].join(" "));
      drawn += letter.length;
    }
  }
}
const element = document.createElementNS(document.documentElement.namespaceURI, "metadata");
element.id = "measured";
element.textContent = measured.join("\n");
document.documentElement.append(element);
