// The heat map: a row a language, a column a task and line of the board; sorted by any column, moved through by arrow keys.
const heat = document.getElementById("heat");
const heatOrder = { column: "place", up: true };
let heatCells = new Map();

const keyOf = (arm, task, lang) => `${arm}|${task}|${lang}`;

/** Columns: tasks that have cells or gaps, and below each the lines of the board that have some in it. */
function heatColumns(all) {
  const byTask = new Map();
  for (const { task, arm } of all) {
    if (!byTask.has(task)) byTask.set(task, new Set());
    byTask.get(task).add(arm);
  }
  const order = (a, b) => a - b;
  return [...byTask.keys()].sort(order).map((task) => ({ task, arms: [...byTask.get(task)].sort(order) }));
}

/** What tells lines of the board apart among those that are shown. */
function armNames(columns) {
  const arms = unique(columns.flatMap((column) => column.arms.map((arm) => String(arm)))).map((arm) => page.arms[arm]).filter(Boolean);
  const several = { model: unique(arms.map((arm) => arm.model)).length > 1, setting: unique(arms.map((arm) => arm.setting)).length > 1 };
  const name = (arm) => !page.arms[arm] ? "?"
    : several.model && several.setting ? `${page.arms[arm].model} + ${page.arms[arm].setting}`
    : several.model ? page.arms[arm].model : page.arms[arm].setting;
  return { name, isNeeded: several.model || several.setting };
}

function sortedLanguages(langs, columns, values) {
  const places = Object.keys(page.languages);
  const by = {
    place: (lang) => places.indexOf(lang),
    name: (lang) => languageOf(lang).name,
    mean: (lang) => {
      const own = columns.flatMap(({ task, arms }) => arms.map((arm) => values.get(keyOf(arm, task, lang)))).filter((v) => v !== undefined);
      return own.length ? own.reduce((a, b) => a + b, 0) / own.length : null;
    },
  }[heatOrder.column] ?? ((lang) => values.get(`${heatOrder.column}|${lang}`) ?? null);
  const keyed = langs.map((lang) => [by(lang), lang]);
  return keyed.sort((one, other) => compare(one[0], other[0], heatOrder.up)).map(([, lang]) => lang);
}

function sortHead(text, column, attributes = {}) {
  const sorted = heatOrder.column === column ? (heatOrder.up ? "ascending" : "descending") : null;
  return element("th", { scope: "col", "aria-sort": sorted, ...attributes }, element("button", { type: "button", "data-sort": column }, text));
}

function heatHead(columns, names) {
  const first = [sortHead("Language", "name", { rowspan: names.isNeeded ? 2 : 1 })];
  const second = [];
  for (const { task, arms } of columns) {
    const name = page.tasks[task]?.name ?? "?";
    if (!names.isNeeded) first.push(sortHead(name, `${arms[0]}|${task}`));
    else {
      first.push(element("th", { scope: "colgroup", colspan: arms.length, title: page.tasks[task]?.description }, name));
      second.push(...arms.map((arm) => sortHead(names.name(arm), `${arm}|${task}`)));
    }
  }
  first.push(sortHead("mean", "mean", { rowspan: names.isNeeded ? 2 : 1 }));
  return element("thead", {}, [first, second].filter((row) => row.length).map((row) => element("tr", {}, row)));
}

/** One cell of the map; what it shows, and in which colour. */
function heatCell(cell, gap, isAsked, range, isFirst) {
  const made = document.createElement("td");
  const value = cell ? measured(cell, wanted.measure) : null;
  const classes = isFirst ? ["first"] : [];
  if (value === null) {
    classes.push(gap && !cell ? "missing" : "empty");
    made.textContent = gap && !cell ? "missing" : "–";
    made.title = gap && !cell ? page.texts[gap.why] : cell ? "no such number" : isAsked ? "not asked for" : "no language of this task";
  } else {
    made.setAttribute("style", styleAt(wanted.measure, (value - range[0]) / (range[1] - range[0])));
    made.textContent = wanted.measure === "lift" ? signed(value) : fixed(value);
    if (wanted.measure === "lift" && (cell.lift[1] > 0 || cell.lift[2] < 0)) classes.push("sure");
  }
  if (classes.length) made.className = classes.join(" ");
  return made;
}

function showHeatMap(cells, missing) {
  heatCells = new Map(cells.map((cell) => [keyOf(cell.arm, cell.task, cell.lang), { cell }]));
  for (const gap of missing) {
    const key = keyOf(gap.arm, gap.task, gap.lang);
    heatCells.set(key, { gap, ...heatCells.get(key) });
  }
  const values = new Map();
  for (const [key, { cell }] of heatCells) {
    const value = cell ? measured(cell, wanted.measure) : null;
    if (value !== null) values.set(key, value);
  }
  const isShown = ({ arm, task, lang }) => wanted.measure !== "lift" || values.has(keyOf(arm, task, lang));
  const columns = heatColumns([...cells.filter(isShown), ...missing]);
  const range = rangeOf(wanted.measure, [...values.values()]);
  const langs = sortedLanguages(unique([...cells, ...missing].map((one) => one.lang)), columns, values);
  const body = document.createElement("tbody");
  for (const lang of langs) {
    const row = document.createElement("tr");
    row.append(element("th", { scope: "row", title: [languageOf(lang).family, languageOf(lang).script].filter(Boolean).join(", ") },
      `${languageOf(lang).name} (${lang})`));
    const own = [];
    for (const { task, arms } of columns) {
      const isAsked = page.tasks[task]?.languages.includes(lang);
      for (const [at, arm] of arms.entries()) {
        const key = keyOf(arm, task, lang);
        const found = heatCells.get(key);
        const made = heatCell(found?.cell, found?.gap, isAsked, range, at === 0);
        if (found) made.dataset.key = key;
        if (values.has(key)) own.push(values.get(key));
        row.append(made);
      }
    }
    const mean = own.length ? own.reduce((a, b) => a + b, 0) / own.length : null;
    const shown = mean === null ? "–" : wanted.measure === "lift" ? signed(mean) : fixed(mean);
    row.append(element("td", { class: "empty first" }, shown));
    body.append(row);
  }
  const names = armNames(columns);
  heat.replaceChildren(...(langs.length ? [heatHead(columns, names), body] : [element("caption", {}, "No cell passes these filters.")]));
  const start = heat.querySelector("tbody td");
  if (start) start.tabIndex = 0;
  if (heat.tHead) heat.style.setProperty("--first-row", `${heat.tHead.rows[0].cells[1].offsetHeight}px`);
  showLegend(range, values.size);
}

function showLegend(range, number) {
  const legend = document.getElementById("heat-legend");
  if (!number) return legend.replaceChildren();
  const stops = [0, 0.25, 0.5, 0.75, 1].map((at) => `rgb(${colourAt(wanted.measure, at)})`).join(",");
  const write = wanted.measure === "lift" ? signed : fixed;
  const more = wanted.measure === "lift" ? "; bold: its interval does not touch 0" : "";
  legend.replaceChildren(write(range[0]), element("span", { class: "ramp", style: `background:linear-gradient(90deg,${stops})` }), write(range[1]),
    element("span", {}, `${MEASURES[wanted.measure]}${more}`));
  return undefined;
}

heat.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-sort]");
  if (button) {
    const column = button.dataset.sort;
    heatOrder.up = heatOrder.column === column ? !heatOrder.up : column === "name";
    heatOrder.column = column;
    showCells();
    heat.querySelector(`button[data-sort="${CSS.escape(column)}"]`)?.focus();
    return;
  }
  const cell = event.target.closest("td[data-key]");
  if (cell) openCell(cell);
});

/** Arrows, Home and End move through the map; Enter and space open a cell. */
heat.addEventListener("keydown", (event) => {
  const cell = event.target.closest("td");
  if (!cell) return;
  const row = cell.parentElement;
  const at = cell.cellIndex;
  const to = {
    ArrowRight: () => row.cells[at + 1],
    ArrowLeft: () => (at > 1 ? row.cells[at - 1] : null),
    ArrowDown: () => row.nextElementSibling?.cells[at],
    ArrowUp: () => row.previousElementSibling?.cells[at],
    Home: () => row.cells[1],
    End: () => row.cells[row.cells.length - 1],
  }[event.key];
  if (to) {
    event.preventDefault();
    const next = to();
    if (!next) return;
    cell.removeAttribute("tabindex");
    next.tabIndex = 0;
    next.focus();
  } else if ((event.key === "Enter" || event.key === " ") && cell.dataset.key) {
    event.preventDefault();
    openCell(cell);
  }
});

function openCell(cell) {
  const { cell: found, gap } = heatCells.get(cell.dataset.key);
  if (found) openProvenance(found, cell);
  else openGap(gap, cell);
}
document.addEventListener("theme", () => showCells());
