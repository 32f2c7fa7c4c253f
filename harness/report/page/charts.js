// Charts: drawn by Vega-Lite when they come into view, in the colours of the theme, from the rows that the selects leave.

/** A colour of the style sheet as the browser resolves it. */
function themeColour(name) {
  const probe = element("span", { style: `color:var(${name})`, hidden: true });
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** Okabe and Ito's colours, and what stands for each on a dark ground. */
const ON_DARK = { "#0072B2": "#56B4E9", "#D55E00": "#FF8A3D", "#009E73": "#2FD3A0", "#CC79A7": "#E8A6CB", "#E69F00": "#FFC94D", "#56B4E9": "#B5DEF8", "#8C564B": "#C99A8E", "#7A7A7A": "#B0B0B0" };

function themed(spec) {
  if (!isDark()) return spec;
  return JSON.parse(JSON.stringify(spec).replace(/#[0-9A-F]{6}/g, (colour) => ON_DARK[colour] ?? colour));
}

function chartConfig(width) {
  const [text, faint, line] = ["--text", "--faint", "--line"].map(themeColour);
  const font = "system-ui, 'Segoe UI', Roboto, sans-serif";
  return {
    background: null,
    font,
    view: { stroke: null },
    axis: { labelColor: text, titleColor: faint, gridColor: line, domainColor: faint, tickColor: faint, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400, labelOverlap: "greedy", labelSeparation: 6, labelLimit: width < 500 ? 150 : 280 },
    legend: { labelColor: text, titleColor: faint, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400, columns: width < 500 ? 1 : 6 },
    rule: { color: faint },
  };
}

function wantedRows(figure, chart) {
  const selects = [...figure.querySelectorAll("select")].map((select) => [select.dataset.field, select.value]);
  for (const { field, values, default: only } of chart.selects) if (values.length === 1 && only) selects.push([field, only]);
  return chart.rows.filter((row) => selects.every(([field, value]) => value === "" || String(row[field]) === value));
}

function tableOf(chart, rows) {
  const written = (value) => value === null || value === undefined ? "–" : typeof value === "number" ? (Number.isInteger(value) ? value.toLocaleString("en") : fixed(value, 2)) : value;
  const head = chart.columns.map((name) => element("th", { scope: "col" }, name));
  const body = rows.slice(0, 500).map((row) => element("tr", {}, chart.columns.map((name) => element("td", {}, written(row[name])))));
  return element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body));
}

async function draw(figure, chart) {
  const place = figure.querySelector(".drawing");
  const rows = wantedRows(figure, chart);
  const width = place.clientWidth;
  const spec = { ...themed(chart.spec), datasets: { rows }, autosize: { type: "fit-x", contains: "padding" } };
  if (chart.rowHeight) spec.height = chart.rowHeight * unique(rows.map((row) => row.label)).length;
  figure.view?.finalize();
  const { view } = await vegaEmbed(place, spec, { actions: false, renderer: "svg", logLevel: 1, config: chartConfig(width) });
  figure.view = view;
  const drawn = place.querySelector("svg");
  drawn.setAttribute("aria-hidden", "true"); // the figure has a name, and its numbers are in a table
  for (const one of drawn.querySelectorAll("[aria-label], [role], [aria-roledescription]")) {
    ["role", "aria-label", "aria-roledescription"].forEach((name) => one.removeAttribute(name));
  }
  if (figure.querySelector("details").open) showNumbers(figure, chart);
  figure.dataset.drawn = String(rows.length);
}

function showNumbers(figure, chart) {
  figure.querySelector(".numbers").replaceChildren(tableOf(chart, wantedRows(figure, chart).filter((row) => row.part !== "line")));
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    draw(entry.target, chartOf(entry.target));
  }
}, { rootMargin: "600px" });

function chartOf(figure) {
  return page.charts.find((chart) => chart.id === figure.dataset.chart);
}

for (const figure of document.querySelectorAll("figure.chart")) {
  const chart = chartOf(figure);
  figure.querySelectorAll("select").forEach((select) => select.addEventListener("change", () => draw(figure, chart)));
  figure.querySelector("details").addEventListener("toggle", (event) => { if (event.target.open) showNumbers(figure, chart); });
  seen.observe(figure);
}
document.addEventListener("theme", () => {
  document.querySelectorAll("figure.chart[data-drawn]").forEach((figure) => draw(figure, chartOf(figure)));
});

makeFilters();
showTheme();
