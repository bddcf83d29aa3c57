/* Making elements. Texts are only ever set as text, so nothing that was measured becomes markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Make an HTML element: attributes, then children (elements or texts). */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const at = (id) => document.getElementById(id);

/** Write a number with a real minus sign; "" where there is none. */
function shown(value, digits, sign = false) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const rounded = Number(value.toFixed(digits)) + 0; // + 0 makes -0 a plain 0
  const text = Math.abs(rounded).toFixed(digits);
  return (rounded < 0 ? "−" : sign && rounded > 0 ? "+" : "") + text;
}

/** Write a number of any size in four digits. */
function compact(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e-3 && size < 1e5 ? String(Number(size.toPrecision(4))) : size.toExponential(2);
  return (value < 0 ? "−" : "") + text;
}

const digitsOf = (unit) => (unit === "%" ? 1 : 2);
const unitOf = (unit) => (unit === "%" ? "points" : unit);

function interval(low, high, digits, sign = false) {
  return low === null || high === null ? "no interval" : `[${shown(low, digits, sign)}, ${shown(high, digits, sign)}]`;
}

function mark(tone) {
  return h("span", { class: `mark tone-${tone}`, "aria-hidden": "true" });
}

/** A select with a label; `options` are [value, text]. */
function choice(label, options, value, change) {
  const select = h("select", { onchange: () => change(select.value) }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return h("label", {}, label, select);
}

function check(label, value, change) {
  const input = h("input", { type: "checkbox", checked: value, onchange: () => change(input.checked) });
  return h("label", { class: "check" }, input, label);
}

/** A search field that waits until typing rests. */
function search(label, value, change) {
  let timer = 0;
  const input = h("input", { type: "search", value, autocomplete: "off", oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(() => change(input.value), 150);
  } });
  return h("label", {}, label, input);
}

const tip = {
  /** Show lines beside a point of the screen. */
  show(lines, x, y) {
    const [first, ...rest] = lines.filter(Boolean);
    at("tip").replaceChildren(h("b", {}, first), ...rest.map((line) => h("div", {}, line)));
    at("tip").hidden = false;
    const box = at("tip").getBoundingClientRect();
    at("tip").style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    at("tip").style.top = `${y + 16 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 16}px`;
  },
  hide() {
    at("tip").hidden = true;
  },
};

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy it";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
