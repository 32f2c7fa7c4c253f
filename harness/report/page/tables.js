// Sorting and searching of the tables that are in the page from the start.

/** What a cell is sorted by: its number where it has one, else its text. */
function sortValue(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  return text === "–" ? "" : text;
}

function sortTable(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const head = heads[column];
  const wasUp = head.getAttribute("aria-sort") === "ascending";
  const firstUp = head.classList.contains("text") && !table.tBodies[0].rows[0]?.cells[column].dataset.value;
  const up = head.hasAttribute("aria-sort") ? !wasUp : firstUp;
  heads.forEach((one) => one.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows].map((row) => [sortValue(row.cells[column]), row]);
  rows.sort((one, other) => compare(one[0], other[0], up));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

/** A word that a column's title has keeps such columns; every other word must be in a row. */
function searchTable(table, text) {
  const heads = [...table.tHead.rows[0].cells];
  const titles = heads.map((head) => head.textContent.toLowerCase());
  const keys = table.tBodies[0].rows[0] ? heads.findIndex((head, at) => at && !head.classList.contains("text") && at > 2) : 0;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const ofColumns = words.filter((word) => titles.some((title, at) => at >= keys && title.includes(word)));
  const isShown = titles.map((title, at) => at < keys || !ofColumns.length || ofColumns.some((word) => title.includes(word)));
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const own = [...row.cells].slice(0, keys).map((cell) => cell.textContent).join(" ").toLowerCase();
    row.hidden = !words.every((word) => ofColumns.includes(word) || own.includes(word));
    shown += !row.hidden;
    [...row.cells].forEach((cell, at) => { cell.hidden = !isShown[at]; });
  }
  heads.forEach((head, at) => { head.hidden = !isShown[at]; });
  return shown;
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button")?.addEventListener("click", () => sortTable(table, column));
  });
}
for (const input of document.querySelectorAll("input[data-searches]")) {
  const status = document.querySelector(`[data-counts="${input.dataset.searches}"]`);
  input.addEventListener("input", () => {
    const shown = searchTable(document.getElementById(input.dataset.searches), input.value);
    status.textContent = input.value ? count(shown, "line") : "";
  });
}
