// The same cells as a list, a hundred at a time.
const list = document.getElementById("cell-list");
const LIST_STEP = 100;
const listOrder = { column: -1, up: false };
let listed = { cells: [], shown: LIST_STEP };

const sum = (cell, of) => cell.runs.reduce((total, run) => total + (of(run) ?? 0), 0);
const LIST_COLUMNS = [
  { title: "Task", text: true, value: (cell) => page.tasks[cell.task].name },
  { title: "Language", text: true, value: (cell) => languageOf(cell.lang).name },
  { title: "Model", text: true, value: (cell) => page.arms[cell.arm].model },
  { title: "Intermediate", text: true, value: (cell) => page.arms[cell.arm].setting },
  { title: "Score", value: (cell) => cell.score?.[0], show: (cell) => (cell.score ? span(cell.score) : "–") },
  { title: "Lift", value: (cell) => cell.lift?.[0], show: (cell) => (cell.lift ? span(cell.lift, signed) : "–") },
  { title: "Seeds", value: (cell) => cell.runs.length },
  { title: "Examples", value: (cell) => sum(cell, (run) => run.examples) },
  { title: "Cut off", value: (cell) => sum(cell, (run) => run.truncated?.[0]) },
  { title: "Unanswered", value: (cell) => sum(cell, (run) => run.unanswered) },
];

function showList(cells) {
  listed = { cells: [...cells], shown: LIST_STEP };
  if (document.getElementById("list").open) drawList();
}

function drawList() {
  const { column, up } = listOrder;
  if (column >= 0) {
    const of = LIST_COLUMNS[column].value;
    listed.cells.sort((one, other) => compare(of(one), of(other), up));
  }
  const head = LIST_COLUMNS.map(({ title, text }, at) => element("th",
    { scope: "col", class: text ? "text" : "number", "aria-sort": at === column ? (up ? "ascending" : "descending") : null },
    element("button", { type: "button", "data-column": at }, title)));
  const rows = listed.cells.slice(0, listed.shown).map((cell, number) => element("tr", { "data-number": number },
    LIST_COLUMNS.map(({ value, show, text }, at) => {
      const shown = show ? show(cell) : typeof value(cell) === "number" ? value(cell).toLocaleString("en") : value(cell);
      return element("td", { class: text ? "text" : "number" }, at ? shown : element("button", { type: "button" }, shown));
    })));
  list.replaceChildren(element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows));
  document.getElementById("more").hidden = listed.shown >= listed.cells.length;
}

document.getElementById("list").addEventListener("toggle", (event) => { if (event.target.open) drawList(); });
document.getElementById("more").addEventListener("click", () => { listed.shown += LIST_STEP; drawList(); });
list.addEventListener("click", (event) => {
  const head = event.target.closest("button[data-column]");
  if (head) {
    const column = Number(head.dataset.column);
    listOrder.up = listOrder.column === column ? !listOrder.up : Boolean(LIST_COLUMNS[column].text);
    listOrder.column = column;
    drawList();
    list.querySelector(`button[data-column="${column}"]`).focus();
    return;
  }
  const row = event.target.closest("tr[data-number]");
  if (row) openProvenance(listed.cells[Number(row.dataset.number)], row.querySelector("button"));
});
