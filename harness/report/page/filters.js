// Which cells are shown: by model, setting, task, family and script of the language, and words; and what is shown of them.
const filterForm = document.getElementById("filters");
const ANY = "";
const wanted = { model: ANY, setting: ANY, task: ANY, family: ANY, script: ANY, words: "", measure: "score" };
const MEASURES = { score: "score", lift: "lift", above: "score above guessing (0 to 100)" };

/** The number that is shown of a cell, or null. */
function measured(cell, measure) {
  if (measure === "lift") return cell.lift ? cell.lift[0] : null;
  if (!cell.score) return null;
  if (measure === "score") return cell.score[0];
  const chance = page.tasks[cell.task].chance;
  return chance < 100 ? ((cell.score[0] - chance) / (100 - chance)) * 100 : null;
}

function languageOf(code) {
  return page.languages[code] ?? { name: code, family: "", script: "" };
}

/** Whether a line of the board, a task and a language are among what is wanted. */
function passes(arm, task, lang) {
  const { model, setting } = page.arms[arm] ?? { model: "", setting: "" };
  const { name, family, script } = languageOf(lang);
  if (wanted.model && model !== wanted.model) return false;
  if (wanted.setting && setting !== wanted.setting) return false;
  if (wanted.task && page.tasks[task]?.name !== wanted.task) return false;
  if (wanted.family && family !== wanted.family) return false;
  if (wanted.script && script !== wanted.script) return false;
  if (!wanted.words) return true;
  const text = `${model} ${setting} ${page.tasks[task]?.name} ${lang} ${name}`.toLowerCase();
  return wanted.words.split(/\s+/).every((word) => text.includes(word));
}

function unique(values) {
  return [...new Set(values.filter(Boolean))];
}

function choice(key, label, values, everything) {
  const options = values.map((value) => element("option", { value, selected: value === wanted[key] }, value));
  if (everything) options.unshift(element("option", { value: ANY, selected: wanted[key] === ANY }, everything));
  const changed = (event) => { wanted[key] = event.target.value; showCells(); };
  return values.length > 1 ? element("label", {}, label, element("select", { name: key, onchange: changed }, options)) : null;
}

/** At first one model, the one with most cells, where several would make too wide a map; all settings, to be compared. */
function firstChoice() {
  const cells = new Map();
  for (const { arm } of page.cells) cells.set(page.arms[arm].model, (cells.get(page.arms[arm].model) ?? 0) + 1);
  const fullest = [...cells].reduce((best, one) => (one[1] >= best[1] ? one : best), ["", 0])[0];
  if (page.arms.length * page.tasks.length > 12 && cells.size > 1) wanted.model = fullest;
}

function makeFilters() {
  firstChoice();
  const langs = Object.values(page.languages);
  const hasLifts = page.cells.some((cell) => cell.lift);
  const measures = Object.keys(MEASURES).filter((measure) => measure !== "lift" || hasLifts);
  const show = element("select", { name: "measure", onchange: (event) => { wanted.measure = event.target.value; showCells(); } },
    measures.map((measure) => element("option", { value: measure }, MEASURES[measure])));
  let waiting;
  const search = (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { wanted.words = event.target.value.trim().toLowerCase(); showCells(); }, 60);
  };
  filterForm.append(...[
    element("label", {}, "Show", show),
    choice("model", "Model", unique(page.arms.map((arm) => arm.model)), "all models"),
    choice("setting", "Intermediate", unique(page.arms.map((arm) => arm.setting)), "all settings"),
    choice("task", "Task", page.tasks.map((task) => task.name), "all tasks"),
    choice("family", "Language family", unique(langs.map((lang) => lang.family)).sort(), "all families"),
    choice("script", "Script", unique(langs.map((lang) => lang.script)).sort(), "all scripts"),
    element("label", {}, "Search", element("input", { type: "search", name: "words", oninput: search, autocomplete: "off" })),
  ].filter(Boolean));
  filterForm.addEventListener("submit", (event) => event.preventDefault());
}

/** Draws everything that depends on the filters. */
function showCells() {
  const cells = page.cells.filter((cell) => passes(cell.arm, cell.task, cell.lang));
  const missing = page.missing.filter((cell) => passes(cell.arm, cell.task, cell.lang));
  showHeatMap(cells, missing);
  showList(cells);
  const gaps = missing.length ? `, ${count(missing.length, "missing score")}` : "";
  document.getElementById("cells-count").textContent = `${count(cells.length, "cell")}${gaps}`;
}
