/* Bias, LM score and bytes in one plot. */

function scatter(data, openPanel) {
  const { about, value, ci_low: low, ci_high: high } = data.metrics;
  const lms = about.map((each, row) => ({ ...each, row })).filter((each) => each.metric === "lm_score" && each.category === "overall");
  const biases = about.map((each, row) => ({ ...each, row })).filter((each) => each.kind === "bias" && each.metric in data.short);
  const state = { x: lms[0].row, y: (biases.find((each) => each.category === "overall") || biases[0]).row, crosses: data.cells.length <= 30, hidden: new Set() };
  const models = [...new Set(data.cells.filter((cell) => cell.state === "done").map((cell) => cell.model))];
  const place = at("scatter-plot");
  const title = (each) => `${each.benchmark} ${data.short[each.metric] || each.metric} ${each.category}`;

  at("scatter-tools").append(
    choice("Bias", biases.map((each) => [String(each.row), title(each)]), String(state.y), (chosen) => { state.y = Number(chosen); redraw(); }),
    lms.length > 1 ? choice("Language modelling", lms.map((each) => [String(each.row), title(each)]), String(state.x), (chosen) => { state.x = Number(chosen); redraw(); }) : "",
    check("intervals", state.crosses, (on) => { state.crosses = on; redraw(); }));
  at("scatter-legend").append(...toggles(models, state.hidden, () => redraw()));

  function draw(width) {
    const cells = data.cells.map((cell, index) => ({ ...cell, index })).filter(({ index, model }) =>
      !state.hidden.has(model) && value[state.x][index] !== null && value[state.y][index] !== null);
    if (!cells.length) return place.replaceChildren(h("p", { class: "lead" }, "No cell has both numbers."));
    const height = Math.max(340, Math.min(560, width * 0.56));
    const box = { left: 48, right: width - 24, top: 34, bottom: height - 48 };
    const range = (row) => (state.crosses ? [low[row], high[row]] : []).flatMap((ends) => cells.map(({ index }) => ends[index])).concat(cells.map(({ index }) => value[row][index]));
    const ideal = about[state.y].ideal;
    const x = scale(padded(range(state.x)), [box.left, box.right]);
    const y = scale(padded([...range(state.y), ...(ideal === null ? [] : [ideal])]), [box.bottom, box.top]);
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Bias against LM score; arrow keys move from one cell to the next" });
    svg.append(...frame(x, y, box, { x: `LM score (${about[state.x].benchmark}), higher is better →`, y: `${title(about[state.y])}${ideal === null ? "" : `, ideal ${ideal}`}` }));
    if (ideal !== null) svg.append(s("line", { class: "ideal", x1: box.left, x2: box.right, y1: y(ideal), y2: y(ideal) }));
    const most = Math.max(...cells.map((cell) => cell.bytes || 0));
    const places = new Map(cells.map((cell) => [cell.index, { x: x(value[state.x][cell.index]), y: y(value[state.y][cell.index]), r: cell.bytes ? Math.max(3, 20 * Math.sqrt(cell.bytes / most)) : 5 }]));
    cells.forEach((cell) => svg.append(...behind(cell, places, x, y)));
    const points = [...cells].sort((a, b) => (b.bytes || 0) - (a.bytes || 0)).map((cell) => {
      const element = bubble(cell, places.get(cell.index));
      svg.append(element);
      return { element, place: cell.index, spot: places.get(cell.index), lines: said(cell), open: () => openPanel(cell.index) };
    });
    if (cells.length <= 24) svg.append(...named(cells, places, box));
    reachable(svg, points.sort((a, b) => a.place - b.place));
    place.replaceChildren(svg);
  }

  function colour(cell) {
    return looks(models.indexOf(cell.model));
  }

  function behind(cell, places, x, y) {
    const { x: cx, y: cy } = places.get(cell.index), twin = places.get(cell.twin), parts = [];
    if (twin) parts.push(s("line", { class: `lead-line ${colour(cell)}`, x1: twin.x, y1: twin.y, x2: cx, y2: cy }));
    const ends = (row) => [low[row][cell.index], high[row][cell.index]];
    const [[l, r], [b, t]] = [ends(state.x), ends(state.y)];
    if (state.crosses && l !== null) parts.push(s("line", { class: `cross ${colour(cell)}`, x1: x(l), x2: x(r), y1: cy, y2: cy }));
    if (state.crosses && b !== null) parts.push(s("line", { class: `cross ${colour(cell)}`, x1: cx, x2: cx, y1: y(b), y2: y(t) }));
    return parts;
  }

  function bubble(cell, { x, y, r }) {
    return s("g", { class: "point circle" },
      dot(`bubble ${colour(cell)}${cell.dense ? " dense" : ""}`, x, y, r),
      s("circle", { class: "hit", cx: x, cy: y, r: Math.max(r, 9) }));
  }

  /** Write a name beside each point that has room for it, clear of other points and names. */
  function named(cells, places, box) {
    const taken = [...places.values()].map(({ x, y, r }) => ({ left: x - r, right: x + r, top: y - r, bottom: y + r }));
    const texts = [];
    for (const cell of [...cells].sort((a, b) => b.dense - a.dense)) {
      const { x, y, r } = places.get(cell.index), text = cell.dense ? cell.model : cell.compression;
      const length = text.length * (cell.dense ? 7.2 : 6.5);
      const spots = [r + 5, -r - 5 - length].flatMap((beside) => [0, -14, 14].map((shift) => [x + beside, y + shift])).concat([[x - length / 2, y - r - 9], [x - length / 2, y + r + 9]]);
      const free = spots.map(([left, middle]) => ({ left, right: left + length, top: middle - 7, bottom: middle + 7 })).find((one) =>
        one.left > box.left && one.right < box.right && !taken.some((other) => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom));
      if (!free) continue;
      taken.push(free);
      texts.push(s("text", { x: free.left, y: free.bottom - 3, class: cell.dense ? "strong" : "", "pointer-events": "none" }, text));
    }
    return texts;
  }

  function said(cell) {
    const number = (row) => `${title(about[row])}: ${shown(value[row][cell.index], digitsOf(about[row].unit))} ${interval(low[row][cell.index], high[row][cell.index], digitsOf(about[row].unit))}`;
    return [`${cell.model} · ${cell.compression}`, number(state.y), number(state.x), cell.bytes ? `${shown(cell.bytes / 1e6, 1)} MB in memory` : ""];
  }

  const redraw = drawn(place, draw);
}

/** Buttons of a legend that hide what they name. */
function toggles(names, hidden, change) {
  return names.map((name, index) => {
    const button = h("button", { type: "button", "aria-pressed": "true", onclick: () => {
      if (hidden.has(name)) hidden.delete(name); else hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      change();
    } }, h("span", { class: `swatch ${looks(index)}` }), name);
    return button;
  });
}
