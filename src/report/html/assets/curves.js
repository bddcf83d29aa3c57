/* Curves over a setting that is a number: steps, sizes, bits, sparsity. */

const DASHES = [null, "7 3", "2 3", "9 3 2 3"];

function curves(data, openPanel) {
  const { about, value, ci_low: low, ci_high: high } = data.metrics;
  const axes = [...new Set(data.series.map((one) => one.axis))];
  const metrics = about.map((each, row) => ({ ...each, row })).filter((each) => each.metric in data.short);
  const title = (each) => `${each.benchmark} ${data.short[each.metric]} ${each.category}`;
  const first = metrics.find((each) => each.category === "overall") || metrics[0];
  const state = { axis: axes[0], row: first.row, hidden: new Set() };
  const place = at("curves-plot");

  at("curves-tools").append(
    axes.length > 1 ? choice("Axis", axes.map((axis) => [axis, axis]), state.axis, (axis) => { state.axis = axis; legend(); redraw(); }) : "",
    choice("Metric", metrics.map((each) => [String(each.row), title(each)]), String(state.row), (row) => { state.row = Number(row); redraw(); }));

  const all = () => data.series.filter((one) => one.axis === state.axis);
  function legend() {
    state.hidden.clear();
    at("curves-legend").replaceChildren(...toggles(all().map((one) => one.label), state.hidden, () => redraw()));
  }

  function draw(width) {
    const labels = all().map((one) => one.label);
    const lines = all().filter((one) => !state.hidden.has(one.label)).map((one) => ({
      ...one, colour: looks(labels.indexOf(one.label)), dashes: DASHES[labels.indexOf(one.label) % DASHES.length],
      points: one.cells.map((cell, index) => ({ cell, at: one.at[index], value: value[state.row][cell], low: low[state.row][cell], high: high[state.row][cell] })).filter((point) => point.value !== null),
    })).filter((one) => one.points.length);
    const points = lines.flatMap((one) => one.points);
    if (!points.length) return place.replaceChildren(h("p", { class: "lead" }, "No cell on this axis has that number."));
    const height = Math.max(320, Math.min(460, width * 0.45)), box = { left: 48, right: width - 24, top: 34, bottom: height - 48 };
    const spots = [...new Set(points.map((point) => point.at))].sort((a, b) => a - b);
    const log = spots[0] > 0 && spots[spots.length - 1] / spots[0] >= 8;
    const x = scale(log ? [spots[0], spots[spots.length - 1]] : padded(spots, 0.03), [box.left + (log ? 8 : 0), box.right - (log ? 8 : 0)], log);
    const ideal = about[state.row].ideal;
    const y = scale(padded([...points.flatMap((point) => [point.low, point.high, point.value]), ideal]), [box.bottom, box.top]);
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Curves; arrow keys move from point to point" });
    svg.append(...frame(x, y, box, { x: `${state.axis}${log ? " (logarithmic)" : ""}`, y: `${title(about[state.row])}${ideal === null ? "" : `, ideal ${ideal}`}` }));
    if (log) svg.append(...logTicks(spots, x, box));
    if (ideal !== null) svg.append(s("line", { class: "ideal", x1: box.left, x2: box.right, y1: y(ideal), y2: y(ideal) }));
    const reach = [];
    svg.append(...lines.map((one) => band(one, x, y)), ...lines.map((one) => curve(one, x, y)));
    for (const one of lines) for (const point of one.points) {
      const element = s("g", { class: "point circle" }, dot(one.colour, x(point.at), y(point.value), 4), s("circle", { class: "hit", cx: x(point.at), cy: y(point.value), r: 10 }));
      svg.append(element);
      reach.push({ element, spot: { x: x(point.at), y: y(point.value) }, lines: said(one, point), open: () => openPanel(point.cell) });
    }
    reachable(svg, reach);
    place.replaceChildren(svg);
  }

  const path = (points) => points.map(([px, py], index) => `${index ? "L" : "M"}${px} ${py}`).join("");

  function band(one, x, y) {
    const whole = one.points.filter((point) => point.low !== null && point.high !== null);
    if (whole.length < 2) return "";
    const edge = [...whole.map((point) => [x(point.at), y(point.high)]), ...whole.reverse().map((point) => [x(point.at), y(point.low)])];
    return s("path", { class: `interval ${one.colour}`, d: `${path(edge)}Z` });
  }

  function curve(one, x, y) {
    return s("path", { class: `curve ${one.colour}`, "stroke-dasharray": one.dashes, d: path(one.points.map((point) => [x(point.at), y(point.value)])) });
  }

  function logTicks(spots, x, box) {
    let last = -Infinity;
    return spots.flatMap((spot) => {
      if (x(spot) - last < 46) return [];
      last = x(spot);
      return [s("line", { class: "grid", x1: x(spot), x2: x(spot), y1: box.top, y2: box.bottom }), s("text", { x: x(spot), y: box.bottom + 18, "text-anchor": "middle" }, spot.toLocaleString("en"))];
    });
  }

  function said(one, point) {
    const digits = digitsOf(about[state.row].unit), { model, compression } = data.cells[point.cell];
    return [`${model} · ${compression}`, `${one.axis} ${point.at.toLocaleString("en")}`, `${title(about[state.row])}: ${shown(point.value, digits)} ${interval(point.low, point.high, digits)}`];
  }

  legend();
  const redraw = drawn(place, draw);
}
