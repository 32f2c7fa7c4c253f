// What stands behind a cell: seeds, counts, what was cut off or not answered, notes, stages with data, settings and surroundings.
const dialog = document.getElementById("cell");
const dialogBody = document.getElementById("cell-body");
let openedFrom = null;

function openDialog(title, from, ...parts) {
  openedFrom = from;
  document.getElementById("cell-title").textContent = title;
  dialogBody.replaceChildren(...parts.flat().filter(Boolean));
  dialog.showModal();
  dialog.scrollTop = 0;
}

document.getElementById("cell-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => openedFrom?.focus());

function cellTitle(cell) {
  const { model, setting } = page.arms[cell.arm] ?? { model: "?", setting: "?" };
  const { name, family, script } = languageOf(cell.lang);
  const about = [family, script].filter(Boolean).join(", ");
  return `${page.tasks[cell.task]?.name ?? "?"}, ${name} (${cell.lang})${about ? `, ${about}` : ""}: ${model} + ${setting}`;
}

function openGap(gap, from) {
  const seed = gap.seed === undefined ? null : element("p", {}, `Training seed ${gap.seed}.`);
  openDialog(cellTitle(gap), from, element("p", { class: "big" }, "No score"), element("p", {}, page.texts[gap.why]), seed);
}

function openProvenance(cell, from) {
  const seeds = cell.runs.map((run) => run.seed).filter((seed) => seed !== undefined);
  const level = Math.round(page.level * 100);
  const score = cell.score ? `Score ${span(cell.score)}` : "No score";
  const spread = cell.sd === undefined ? "" : `, standard deviation over seeds ${fixed(cell.sd, 2)}`;
  const means = seeds.length > 1 ? `Mean of ${seeds.length} training seeds (${seeds.join(", ")})${spread}` : seeds.length ? `One training seed (${seeds[0]})` : "Nothing is trained";
  const gaps = page.missing.filter((gap) => gap.arm === cell.arm && gap.task === cell.task && gap.lang === cell.lang);
  openDialog(cellTitle(cell), from,
    element("p", { class: "big" }, score),
    element("p", {}, `${means}; in brackets the ${level} % interval over test examples. Chance: ${fixed(page.tasks[cell.task].chance)}.`),
    cell.lift ? element("p", {}, `Lift ${span(cell.lift, signed)}: with the intermediate task minus without it.`) : null,
    cell.guessing ? element("p", { class: "notice" }, "Cannot be told from guessing, or its training learnt nothing.") : null,
    cell.liftGuessing ? element("p", { class: "notice" }, "A side of the lift cannot be told from guessing.") : null,
    cell.unread ? element("p", { class: "notice" }, `Not read by the model: ${cell.unread}.`) : null,
    gaps.map((gap) => element("p", { class: "notice" }, `Missing${gap.seed === undefined ? "" : `, seed ${gap.seed}`}: ${page.texts[gap.why]}`)),
    cell.runs.map((run) => runPart(run, cell.runs.length > 1)));
}

/** A table of two columns; rows without a value are left out. */
function facts(rows) {
  const made = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("table", {}, element("tbody", {}, made.map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)))));
}

function runPart(run, several) {
  const cut = run.truncated ? `${count(run.truncated[0], "example")} (${count(run.truncated[1], "token")} not seen)` : "none";
  const notes = Object.entries(run.notes ?? {}).map(([note, number]) => `${note}: ${number.toLocaleString("en")}`).join("; ");
  const tokens = run.tokens ? `${run.tokens.tokens.toLocaleString("en")}, of which unknown ${run.tokens.unknown.toLocaleString("en")}; inputs without text ${run.tokens.empty_inputs.toLocaleString("en")}` : "";
  const body = [
    facts([
      ["Score", run.score && span(run.score)],
      ["Above guessing", run.centred === undefined ? "" : `${fixed(run.centred)} (0 at chance, 100 at best)`],
      ["Lift", run.lift ? span(run.lift, signed) : run.noLift === undefined ? "" : `none: ${page.texts[run.noLift]}`],
      ["Test examples", run.examples?.toLocaleString("en")],
      ["Without an answer", run.unanswered ? `${run.unanswered.toLocaleString("en")}, scored as wrong` : "none"],
      ["Cut off", cut],
      ["Notes of the task type", notes || "none"],
      ["Tokens of texts", tokens],
      ["Predicted", run.oneClass ? "one label throughout" : ""],
      ["Entropy of predictions", run.entropy === undefined ? "" : `${fixed(run.entropy, 2)} bits`],
      ["How it was asked", page.texts[run.route]],
      ...Object.entries(run.metrics ?? {}).map(([name, [value, low, high, n, signature]]) =>
        [name, `${span([value, low, high])} of ${count(n, "item")}; ${page.texts[signature]}`]),
    ]),
    examplesPart(run),
    element("details", { open: !several }, element("summary", {}, "Stages"), [...(run.train ?? []), run.predict, run.scoring].filter((at) => at !== undefined).map(stagePart)),
  ];
  if (!several) return element("div", {}, body);
  return element("details", {}, element("summary", {}, run.seed === undefined ? "Run" : `Seed ${run.seed}: ${run.score ? span(run.score) : "–"}`), body);
}

function stagePart(number) {
  const stage = page.stages[number];
  const shared = Object.fromEntries(Object.entries(stage.shared ?? {}).map(([key, at]) => [key, page.shared[at]]));
  const data = typeof stage.data === "number" ? page.shared[stage.data] : stage.data;
  const made = (shared.environments ?? []).map((name) => page.environments[name]).filter(Boolean);
  const inputs = (stage.inputs ?? []).map((at) => page.stages[at].name).join(", ");
  return element("details", {}, element("summary", {}, element("code", {}, stage.name)), facts([
    ["Rests on", inputs],
    ["Data", data && written(data)],
    ["Settings", shared.settings && written(shared.settings)],
    ["Facts", stage.facts && written(stage.facts)],
    ["Computed on", (shared.arithmetic ?? []).map((how) => `${how.device}, ${how.dtype}, ${how.threads ?? "?"} threads${how.repeatable ? "" : ", sums in any order"}`).join("; ")],
    ["Made by", made.map((one) => `commit ${one.commit || "unknown"}; ${Object.entries(one.versions).map((pair) => pair.join(" ")).join(", ")}`).join("; ")],
  ]));
}

/** Values of an object in a line, nested ones as they are written. */
function written(value) {
  return Object.entries(value).map(([key, one]) => `${key}: ${typeof one === "object" ? JSON.stringify(one) : one}`).join("; ");
}

function examplesPart(run) {
  if (run.shown === undefined) return null;
  const { items, why } = page.examples[run.shown];
  return element("details", { open: true }, element("summary", {}, "Some predictions"), why ? element("p", { class: "small" }, why) : null,
    items.map((item) => element("div", { class: "example" }, element("dl", {},
      Object.entries(item.texts).map(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]),
      item.prompts.map((text) => [element("dt", {}, "prompt as sent"), element("dd", { class: "prompt" }, text)]),
      element("dt", {}, "gold"), element("dd", {}, item.gold),
      element("dt", {}, "predicted"), element("dd", {}, `${item.prediction}${item.right ? " ✓" : " ✗"}`),
      item.notes.length ? [element("dt", {}, "notes"), element("dd", {}, item.notes.join("; "))] : null))));
}
