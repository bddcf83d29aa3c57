/* What plots share: scales, ticks, marks, and points that mouse and keyboard can reach. */

/** Make a linear (or logarithmic) scale. */
function scale([low, high], [from, to], log = false) {
  const f = log ? Math.log10 : (value) => value;
  const span = f(high) - f(low) || 1;
  const place = (value) => from + ((f(value) - f(low)) / span) * (to - from);
  return Object.assign(place, { low, high, log });
}

/** Give round numbers within a scale. */
function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw) || raw;
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-6; at += 1) found.push(at * step);
  return { values: found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** Give ticks for a scale whose labels do not run into each other. */
function apart(x, label, letter = 6.6, gap = 8) {
  let count = 6, steps = ticks(x.low, x.high, count);
  const crowded = () => {
    const widest = Math.max(...steps.values.map((value) => label(value, steps.digits).length));
    return x(steps.values[1]) - x(steps.values[0]) < widest * letter + gap;
  };
  while (steps.values.length > 2 && crowded()) steps = ticks(x.low, x.high, (count *= 0.8));
  return steps;
}

/** Give the class of the nth model or series: eight colours, which come again with another shape. */
function looks(index) {
  return `s${index % 8}${Math.floor(index / 8) % 2 ? " again" : ""}`;
}

/** Draw a point of a class of looks(): round, or square where the colours come again. */
function dot(classes, x, y, r) {
  const square = { x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8 };
  return classes.split(" ").includes("again") ? s("rect", { class: classes, ...square }) : s("circle", { class: classes, cx: x, cy: y, r });
}

/** Draw a comparison's mark: its shape says the same as its colour. */
function glyph(tone, x, y, r = 5) {
  const about = { class: `glyph tone-${tone}` };
  const path = (d) => s("path", { ...about, d });
  switch (tone) {
    case "better": return s("circle", { ...about, cx: x, cy: y, r });
    case "worse": return path(`M${x - r * 1.25} ${y}L${x} ${y - r * 1.25}L${x + r * 1.25} ${y}L${x} ${y + r * 1.25}Z`);
    case "moved": return s("rect", { ...about, x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8 });
    case "broken": return s("path", { ...about, "stroke-width": 3, d: `M${x - r} ${y - r}L${x + r} ${y + r}M${x - r} ${y + r}L${x + r} ${y - r}` });
    case "same": return s("circle", { ...about, cx: x, cy: y, r: r * 0.9 });
    default: return s("circle", { ...about, cx: x, cy: y, r: r * 0.55 });
  }
}

/**
 * Make points of a plot answer to mouse and keyboard: arrows move, Enter opens.
 *
 * points: [{element, lines, open, spot}] in reading order. Where points have a spot (x, y), the mouse
 * reaches the nearest one, so that none hides another.
 */
function reachable(svg, points) {
  let current = 0;
  points.forEach(({ element, lines, open }, place) => {
    element.setAttribute("tabindex", place ? "-1" : "0");
    element.setAttribute("role", open ? "button" : "img");
    element.setAttribute("aria-label", lines.filter(Boolean).join(". "));
    if (!points[place].spot) {
      element.addEventListener("pointermove", (event) => tip.show(lines, event.clientX, event.clientY));
      element.addEventListener("pointerleave", tip.hide);
    }
    element.addEventListener("blur", tip.hide);
    element.addEventListener("focus", () => {
      current = place;
      if (!element.matches(":focus-visible")) return;
      const box = element.getBoundingClientRect();
      tip.show(lines, box.left + box.width / 2, box.bottom - 10);
    });
    if (open && !points[place].spot) element.addEventListener("click", open);
  });
  if (points.some((point) => point.spot)) nearest(svg, points);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") tip.hide();
    if (event.key === "Enter" && points[current] && points[current].open) points[current].open();
    if (!step) return;
    event.preventDefault();
    points[current].element.setAttribute("tabindex", "-1");
    current = Math.max(0, Math.min(points.length - 1, current + step));
    points[current].element.setAttribute("tabindex", "0");
    points[current].element.focus();
  });
}

/** Let the mouse reach the point nearest to it, within so many pixels. */
function nearest(svg, points, within = 26) {
  let found = null;
  const find = (event) => {
    const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    const x = ((event.clientX - box.left) * view.width) / box.width, y = ((event.clientY - box.top) * view.height) / box.height;
    const away = (point) => Math.hypot(point.spot.x - x, point.spot.y - y);
    const next = points.reduce((best, point) => (away(point) < away(best) ? point : best));
    return away(next) <= within ? next : null;
  };
  const leave = () => {
    if (found) found.element.classList.remove("near");
    found = null;
    svg.style.cursor = "";
    tip.hide();
  };
  svg.addEventListener("pointermove", (event) => {
    const next = find(event);
    if (next !== found) leave();
    if (!next) return;
    found = next;
    found.element.classList.add("near");
    svg.style.cursor = "pointer";
    tip.show(found.lines, event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("click", (event) => {
    const next = find(event);
    if (next && next.open) next.open();
  });
}

/** Draw a plot now and whenever its place gets another width. */
function drawn(place, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(place.clientWidth - width) < 2 || !place.clientWidth) return;
    width = place.clientWidth;
    draw(width);
  }).observe(place);
  return () => { if (place.clientWidth) draw(place.clientWidth); };
}

/** Widen a range by a part of it. */
function padded(values, part = 0.06) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  const low = Math.min(...known), high = Math.max(...known);
  const more = (high - low || 1) * part;
  return [low - more, high + more];
}

/** Draw the frame of a plot with two axes. */
function frame(x, y, box, titles) {
  const parts = [];
  const down = ticks(y.low, y.high, 6), across = ticks(x.low, x.high, Math.max(3, box.right / 130));
  for (const value of down.values) {
    parts.push(s("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
      s("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, shown(value, down.digits)));
  }
  if (!x.log) for (const value of across.values) {
    parts.push(s("line", { class: "grid", x1: x(value), x2: x(value), y1: box.top, y2: box.bottom }),
      s("text", { x: x(value), y: box.bottom + 18, "text-anchor": "middle" }, shown(value, across.digits)));
  }
  parts.push(s("text", { class: "name", x: box.right, y: box.bottom + 38, "text-anchor": "end" }, titles.x),
    s("text", { class: "name", x: 0, y: box.top - 10 }, titles.y));
  return parts;
}
