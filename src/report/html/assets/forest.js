/* The forest plot: every paired difference with its interval, a panel a benchmark. */

function forest(data, openItems) {
  const { columns, n } = data.comparisons;
  const text = (name, row) => columns[name].names[columns[name].rows[row]];
  const rows = [...Array(n).keys()].filter((row) => text("family", row) === "headline" && columns.difference[row] !== null);
  const categories = [...new Set(rows.map((row) => text("category", row)))];
  const panels = [...new Set(rows.map((row) => `${text("benchmark", row)}|${text("metric", row)}`))];
  const models = [...new Set(data.cells.map((cell) => cell.model))];
  const state = { category: categories.includes("overall") ? "overall" : categories[0], model: "", only: false, by: "sweep" };
  const place = at("forest-plot");

  at("forest-tools").append(
    choice("Category", categories.sort((a, b) => (b === "overall") - (a === "overall") || a.localeCompare(b)).map((each) => [each, each]), state.category, set("category")),
    models.length > 1 ? choice("Model", [["", "all models"], ...models.map((each) => [each, each])], "", set("model")) : "",
    choice("Order", [["sweep", "as in the sweep"], ["size", "largest change first"]], "sweep", set("by")),
    check("changed only", false, set("only")));
  at("forest-legend").append(...["better", "worse", "broken", "moved", "same", "undecided"].map((tone) => h("span", {}, mark(tone), TONES[tone])));

  function set(name) {
    return (value) => { state[name] = value; redraw(); };
  }

  /** Give the compared cells in order, and for each its row of every panel. */
  function chosen() {
    const found = new Map();
    for (const row of rows) {
      if (text("category", row) !== state.category) continue;
      const cell = columns.b[row];
      if (state.model && data.cells[cell].model !== state.model) continue;
      if (!found.has(cell)) found.set(cell, {});
      found.get(cell)[`${text("benchmark", row)}|${text("metric", row)}`] = row;
    }
    let cells = [...found].map(([cell, own]) => ({ cell, own }));
    const changed = (row) => !["same", "undecided", "undefined"].includes(text("tone", row));
    if (state.only) cells = cells.filter(({ own }) => Object.values(own).some(changed));
    const size = ({ own }) => Math.max(...Object.values(own).map((row) => Math.abs(columns.difference[row]) / columns.margin[row]));
    return cells.sort((one, other) => (state.by === "size" ? size(other) - size(one) : one.cell - other.cell));
  }

  function draw(width) {
    const cells = chosen();
    const used = panels.filter((panel) => cells.some(({ own }) => panel in own));
    if (!used.length) return place.replaceChildren(h("p", { class: "lead" }, "No comparison is like that."));
    const label = Math.min(210, Math.max(120, width * 0.2));
    const across = Math.max(1, Math.min(used.length, Math.floor((width - label) / 185)));
    const boxes = [];
    for (let first = 0; first < used.length; first += across) {
      boxes.push(part(cells, used.slice(first, first + across), width - 22, label));
    }
    place.replaceChildren(h("div", { class: "tall" }, boxes));
  }

  function part(cells, shownPanels, width, label) {
    const line = cells.length > 60 ? 17 : 24, top = cells.length > 25 ? 66 : 52;
    const grouped = state.by === "sweep";
    let y = top;
    const lines = cells.map(({ cell, own }, index) => {
      const head = grouped && (index === 0 || data.cells[cells[index - 1].cell].model !== data.cells[cell].model);
      if (head) y += index ? line * 1.3 : line * 0.8;
      y += line;
      return { cell, own, head, y: y - line / 2 };
    });
    const height = y + 30;
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Paired differences; arrow keys move from one to the next" });
    for (const each of lines) {
      const { model, compression } = data.cells[each.cell];
      if (each.head) svg.append(s("text", { class: "strong", x: 0, y: each.y - line * 0.85 }, model));
      svg.append(s("text", { class: "name", x: grouped ? 10 : 0, y: each.y + 4 }, clipped(grouped ? compression : `${model} ${compression}`, label / 6.6)));
    }
    const one = (width - label) / shownPanels.length;
    const points = [];
    shownPanels.forEach((panel, index) => {
      const box = { left: label + index * one + 14, right: label + (index + 1) * one - 14, top, bottom: y + 4 };
      svg.append(...drawPanel(panel, lines, box, line, points));
    });
    points.sort((a, b) => a.order - b.order);
    reachable(svg, points);
    return svg;
  }

  function drawPanel(panel, lines, box, line, points) {
    const own = lines.filter((each) => panel in each.own).map((each) => ({ ...each, row: each.own[panel] }));
    const [benchmark, metric] = panel.split("|");
    if (!own.length) return [];
    const margin = columns.margin[own[0].row], unit = text("unit", own[0].row);
    const ends = own.flatMap(({ row }) => [columns.ci_low[row], columns.ci_high[row], columns.difference[row]]);
    const x = scale(padded([...ends, -margin * 1.15, margin * 1.15], 0.03), [box.left, box.right]);
    const parts = [
      s("text", { class: "strong", x: box.left, y: 16 }, `${benchmark} ${data.short[metric] || metric}`),
      s("text", { x: box.left, y: 32 }, `change, ${unitOf(unit)}`),
      s("rect", { class: "margin", x: x(-margin), width: x(margin) - x(-margin), y: box.top - 8, height: box.bottom - box.top + 8 }),
    ];
    const steps = apart(x, (value, digits) => shown(value, digits, true));
    for (const value of steps.values) {
      parts.push(s("line", { class: value === 0 ? "zero" : "grid", x1: x(value), x2: x(value), y1: box.top - 8, y2: box.bottom }),
        s("text", { x: x(value), y: box.bottom + 16, "text-anchor": "middle" }, shown(value, steps.digits, true)));
      // The lower end of a long plot is out of sight at first.
      if (box.top > 60) parts.push(s("text", { x: x(value), y: box.top - 13, "text-anchor": "middle" }, shown(value, steps.digits, true)));
    }
    for (const { cell, row, y } of own) {
      const element = drawPoint(row, x, y, box, line);
      points.push({ element, order: y * 100 + box.left / 100, lines: said(cell, row), open: () => openItems(cell, benchmark, state.category) });
      parts.push(element);
    }
    return parts;
  }

  function drawPoint(row, x, y, box, line) {
    const tone = text("tone", row), low = columns.ci_low[row], high = columns.ci_high[row];
    const element = s("g", { class: "point" }, s("rect", { class: "hit", x: box.left - 10, width: box.right - box.left + 20, y: y - line / 2, height: line, "fill-opacity": 0.6 }));
    if (low !== null && high !== null) element.append(s("line", { class: `whisker tone-${tone}`, x1: x(low), x2: x(high), y1: y, y2: y }));
    element.append(glyph(tone, x(columns.difference[row]), y, line > 20 ? 5 : 4));
    return element;
  }

  function said(cell, row) {
    const { model, compression } = data.cells[cell], unit = text("unit", row), digits = digitsOf(unit);
    const up = columns.flips_to_stereo[row];
    return [
      `${model} · ${compression}`,
      `${text("benchmark", row)} ${data.short[text("metric", row)]} ${text("category", row)}: ${shown(columns.value_a[row], digits)} → ${shown(columns.value_b[row], digits)}`,
      `change ${shown(columns.difference[row], digits, true)} ${interval(columns.ci_low[row], columns.ci_high[row], digits, true)}`,
      text("conclusion", row),
      up === null ? "" : `${up} of ${columns.n[row]} items went to the stereotype, ${columns.flips_to_anti[row]} left it`,
      text("reading", row),
    ];
  }

  const redraw = drawn(place, draw);
}

/** Cut a text that is too long for its place. */
function clipped(text, letters) {
  return text.length > letters ? `${text.slice(0, Math.max(1, Math.floor(letters) - 1))}…` : text;
}
