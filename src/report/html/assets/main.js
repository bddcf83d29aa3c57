/* Putting the page together. */

const TONES = {
  better: "nearer to the ideal / LM score rose", worse: "farther from it / LM score fell", broken: "nearer, but LM score was lost",
  moved: "changed, direction undecided", same: "no change larger than the margin", undecided: "undecided", undefined: "not compared",
};

function comparisons(data, openItems) {
  const { columns, n } = data.comparisons;
  const text = (name, row) => columns[name].names[columns[name].rows[row]];
  const cell = (row) => data.cells[columns.b[row]];
  const digits = (row) => digitsOf(text("unit", row));
  const state = { family: "headline", tone: "", benchmark: "", category: "", search: "" };
  const p = (row) => (columns.p_holm[row] === null ? "" : columns.p_holm[row] < 0.001 ? "< .001" : String(Number(columns.p_holm[row].toPrecision(3))));
  const metric = (row) => `${text("benchmark", row)} ${data.short[text("metric", row)] || text("metric", row)}`;
  const table = new PagedTable(at("comparisons-table"), [
    { title: "cell", key: (row) => columns.b[row], cell: (row) => [cell(row).compression, h("span", { class: "pair" }, cell(row).model)] },
    { title: "number", key: (row) => `${metric(row)} ${text("category", row)}`, cell: (row) => [text("category", row), h("span", { class: "pair" }, metric(row))] },
    { title: "before → after", class: "number", key: (row) => columns.value_b[row], cell: (row) => `${shown(columns.value_a[row], digits(row))} → ${shown(columns.value_b[row], digits(row))}` },
    { title: "change", class: "number", key: (row) => columns.difference[row], cell: (row) => [shown(columns.difference[row], digits(row), true), h("span", { class: "pair" }, `${interval(columns.ci_low[row], columns.ci_high[row], digits(row), true)}`)] },
    { title: "", class: "bar", cell: (row) => changeBar(columns, row, text("tone", row)) },
    { title: "p Holm", class: "number", key: (row) => columns.p_holm[row], cell: p },
    { title: "flips + −", class: "number", key: (row) => (columns.flips_to_stereo[row] === null ? null : columns.flips_to_stereo[row] + columns.flips_to_anti[row]), cell: (row) => (columns.flips_to_stereo[row] === null ? "" : `${columns.flips_to_stereo[row]} ${columns.flips_to_anti[row]}`) },
    { title: "what may be concluded", class: "says", key: (row) => Object.keys(TONES).indexOf(text("tone", row)), cell: (row) => [mark(text("tone", row)), text("conclusion", row)] },
    { title: "", cell: (row) => h("button", { type: "button", class: "plain", onclick: () => openItems(columns.b[row], text("benchmark", row), text("category", row)) }, "Items") },
  ], { label: "Comparisons", first: "what may be concluded" });
  const distinct = (name) => [["", "all"], ...[...columns[name].names].filter(Boolean).sort().map((each) => [each, each])];
  const count = h("output", { "aria-live": "polite" });
  const set = (name) => (value) => { state[name] = value; filter(); };

  function tools() {
    at("comparisons-tools").replaceChildren(
      choice("Metrics", [["headline", "headline"], ["", "all"]], state.family, set("family")),
      choice("Verdict", [["", "all"], ["changed", "changed (any)"], ...Object.entries(TONES)], state.tone, set("tone")),
      choice("Benchmark", distinct("benchmark"), state.benchmark, set("benchmark")), choice("Category", distinct("category"), state.category, set("category")),
      search("Search cells and conclusions", state.search, set("search")), count);
  }

  function filter() {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const changed = (tone) => !["same", "undecided", "undefined"].includes(tone);
    const rows = [...Array(n).keys()].filter((row) => (!state.family || text("family", row) === state.family)
      && (!state.tone || (state.tone === "changed" ? changed(text("tone", row)) : text("tone", row) === state.tone))
      && (!state.benchmark || text("benchmark", row) === state.benchmark) && (!state.category || text("category", row) === state.category)
      && words.every((word) => `${cell(row).model} ${cell(row).compression} ${metric(row)} ${text("category", row)} ${text("conclusion", row)}`.toLowerCase().includes(word)));
    count.textContent = `${rows.length.toLocaleString("en")} of ${n.toLocaleString("en")} comparisons`;
    table.set(rows);
  }

  tools();
  filter();
  return (tone) => { Object.assign(state, { family: "headline", tone, benchmark: "", category: "", search: "" }); tools(); filter(); };
}

/** Draw a change with its interval within four margins to each side; what lies beyond is cut. */
function changeBar(columns, row, tone) {
  if (columns.difference[row] === null) return "";
  const most = 4 * columns.margin[row], x = scale([-most, most], [4, 92]);
  const within = (value) => x(Math.max(-most, Math.min(most, value)));
  const low = columns.ci_low[row], high = columns.ci_high[row];
  return s("svg", { width: 96, height: 20, viewBox: "0 0 96 20", "aria-hidden": "true" },
    s("rect", { class: "margin", x: x(-columns.margin[row]), width: x(columns.margin[row]) - x(-columns.margin[row]), y: 1, height: 18 }),
    s("line", { class: "zero", x1: x(0), x2: x(0), y1: 1, y2: 19 }),
    low === null ? "" : s("line", { class: `whisker tone-${tone}`, x1: within(low), x2: within(high), y1: 10, y2: 10 }),
    glyph(tone, within(columns.difference[row]), 10, 4));
}

/** Search and widen the table of cells. */
function cellsTable() {
  const table = at("cells-table"), rows = [...table.tBodies[0].rows];
  sortable(table);
  const filter = () => {
    const words = at("cells-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row) => (row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word))));
    at("cells-count").textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} cells` : "";
  };
  at("cells-search").addEventListener("input", filter);
  at("cells-all").addEventListener("change", (event) => table.classList.toggle("by-category", event.target.checked));
}

/** Show the sections that have something to show. */
function reveal(name) {
  document.querySelectorAll(`[data-needs="${name}"]`).forEach((element) => (element.hidden = false));
}

function watchSections() {
  const links = new Map([...document.querySelectorAll("nav a")].filter((link) => at(link.hash.slice(1))).map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    links.forEach((link) => link.removeAttribute("aria-current"));
    links.get(entry.target.id).setAttribute("aria-current", "true");
  }), { rootMargin: "-10% 0px -75% 0px" });
  links.forEach((_, id) => seen.observe(at(id)));
}

async function start() {
  document.querySelectorAll("nav [data-needs]").forEach((element) => (element.hidden = true));
  cellsTable();
  watchSections();
  document.querySelectorAll("[data-more]").forEach((button) => button.addEventListener("click", () => {
    const all = button.parentElement.classList.toggle("all");
    button.setAttribute("aria-expanded", String(all));
    button.textContent = all ? "Show fewer" : `Show all ${button.parentElement.querySelectorAll("li").length}`;
  }));
  document.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", () => copy(button, button.previousElementSibling.textContent)));
  if (!SUPPORTED) return (at("old").hidden = false);
  const data = await block("overview");
  const items = new Items(data);
  const panel = (index) => openPanel(data, index);
  const openItems = async (cell, benchmark, category) => {
    await items.show(cell, benchmark, category);
    at("items").scrollIntoView();
    tip.hide();
  };
  document.querySelectorAll("[data-panel]").forEach((button) => button.addEventListener("click", () => panel(Number(button.dataset.panel))));
  document.querySelectorAll(".value").forEach((button) => button.addEventListener("click", () => openItems(Number(button.dataset.cell), button.dataset.benchmark, button.dataset.category)));
  if (data.comparisons.n) {
    reveal("comparisons");
    forest(data, openItems);
    const only = comparisons(data, openItems);
    document.querySelectorAll("[data-tone]").forEach((button) => button.addEventListener("click", () => { only(button.dataset.tone); at("comparisons").scrollIntoView(); }));
  }
  const has = (test) => data.metrics.about.some(test);
  if (has((each) => each.metric === "lm_score" && each.category === "overall") && has((each) => each.kind === "bias" && each.metric in data.short)) {
    reveal("scatter");
    scatter(data, panel);
  }
  if (data.series.length && has((each) => each.metric in data.short)) {
    reveal("curves");
    curves(data, panel);
  }
  if (items.cells.length) {
    reveal("items");
    const first = items.cells.find((cell) => data.cells[cell].twin !== null) ?? items.cells[0];
    await items.show(first);
  }
  document.documentElement.dataset.ready = "true";
}

start();
