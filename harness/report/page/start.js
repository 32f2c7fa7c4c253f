// The data of the page, and the few things that all scripts share.
const page = JSON.parse(document.getElementById("data").textContent);

/** An element with attributes and children; texts are text nodes, so that no text of the data is ever markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** A number with one decimal, never a negative zero. */
function fixed(value, digits = 1) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text;
}

function signed(value) {
  return (value > 0 && Number(value.toFixed(1)) !== 0 ? "+" : "") + fixed(value);
}

/** A number with its interval in brackets. */
function span([value, low, high], write = fixed) {
  return `${write(value)} [${write(low)}, ${write(high)}]`;
}

function count(number, one, many = one + "s") {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** Compares numbers as numbers and texts as texts; what has no value comes last, whichever way is up. */
function compare(a, b, up) {
  const aEmpty = a === null || a === undefined || a === "";
  const bEmpty = b === null || b === undefined || b === "";
  if (aEmpty || bEmpty) return aEmpty - bEmpty;
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return up ? order : -order;
}
