// Colours of the heat map: one hue for scores, orange to blue for lifts (Okabe and Ito's, told apart by colour-blind readers).
const RAMPS = {
  score: { light: [[241, 245, 250], [130, 178, 219], [8, 81, 156]], dark: [[28, 36, 48], [38, 92, 148], [125, 196, 255]] },
  lift: { light: [[213, 94, 0], [247, 247, 247], [0, 114, 178]], dark: [[230, 120, 30], [36, 42, 50], [70, 160, 225]] },
};

/** The colour at a place between 0 and 1 of a ramp, as three numbers. */
function colourAt(measure, place) {
  const ramp = RAMPS[measure === "lift" ? "lift" : "score"][isDark() ? "dark" : "light"];
  const at = Math.min(0.9999, Math.max(0, place)) * 2;
  const [from, to] = [ramp[Math.floor(at)], ramp[Math.floor(at) + 1]];
  return from.map((part, i) => Math.round(part + (to[i] - part) * (at % 1)));
}

/** Black or white, whichever is easier to read on a colour (relative luminance of WCAG 2). */
function inkOn(colour) {
  const [r, g, b] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

const STEPS = 64;
const styles = new Map();
document.addEventListener("theme", () => styles.clear());

/** The style of a cell at a place between 0 and 1: one of a few texts, each made once, for a map has thousands of cells. */
function styleAt(measure, place) {
  const step = Math.round(Math.min(1, Math.max(0, place)) * STEPS);
  const key = `${measure}|${step}`;
  if (!styles.has(key)) {
    const colour = colourAt(measure, step / STEPS);
    styles.set(key, `--own:rgb(${colour});background:rgb(${colour});color:${inkOn(colour)}`);
  }
  return styles.get(key);
}

/** The ends of a scale: of the scores that are shown, or of lifts the same on both sides of 0. */
function rangeOf(measure, values) {
  if (!values.length) return [0, 1];
  if (measure === "lift") {
    const most = Math.max(0.1, ...values.map(Math.abs));
    return [-most, most];
  }
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high - low < 0.1 ? [low - 1, high + 1] : [low, high];
}
