/* Items: what a cell answered beside its twin, searched, filtered and sorted. */

const NO_SIDE = 2;
const MOVES = { "": "", to_stereo: "to the stereotype", to_anti: "away from it", lost: "only one decided it" };

class Items {
  constructor(data) {
    this.data = data;
    this.cells = Object.keys(data.answers).map(Number);
    this.state = { cell: null, set: null, category: "", decision: "", flip: "", flag: "", search: "", reveal: false };
    this.open = new Set();
  }

  /** Show a cell's items of a benchmark and category. */
  async show(cell, benchmark, category) {
    if (!this.cells.includes(cell)) return;
    this.state.cell = cell;
    const sets = this.sets();
    const wanted = sets.find((key) => this.data.sets[key].benchmark === benchmark) || sets[0];
    // A number of one item (a SEAT test) is of the category "gender/sent-weat6".
    const [group, item] = (category || "").split("/");
    Object.assign(this.state, { set: wanted, category: group, decision: "", flip: "", flag: "", search: item || "" });
    await this.load();
    if (this.state.category && !this.shared.category.names.includes(this.state.category)) this.state.category = "";
    this.tools();
    this.filter();
  }

  sets() {
    return this.data.answers[this.state.cell];
  }

  /** Read what both cells answered; the twin's answers are beside the cell's where it has them. */
  async load() {
    const { cell, set } = this.state;
    const twin = this.data.cells[cell].twin;
    const [items, texts, after, before] = await Promise.all([block(`items-${set}`), block(`texts-${set}`), block(`answers-${cell}`), twin === null ? null : block(`answers-${twin}`)]);
    this.shared = { ids: items.item_id, category: column(items.category), cluster: column(items.cluster), flags: Object.fromEntries(Object.entries(items.flags).map(([name, packed]) => [name, column(packed)])) };
    this.texts = texts;
    this.after = answers(after[set]);
    this.before = before && before[set] ? answers(before[set]) : null;
    this.scores = Object.keys(this.after.scores);
    this.open.clear();
    this.haystack = null;
    this.build();
  }

  direction(row) {
    if (!this.before) return "";
    const one = this.before.sides[row], other = this.after.sides[row];
    if (one === other) return "";
    if (one === NO_SIDE || other === NO_SIDE) return "lost";
    return other ? "to_stereo" : "to_anti";
  }

  tools() {
    const { state, data } = this;
    const again = (name) => (value) => { state[name] = value; this.filter(); };
    const label = (cell) => `${data.cells[cell].model} · ${data.cells[cell].compression}`;
    const names = (packed) => [["", "all"], ...[...packed.names].sort().map((name) => [name, name])];
    const flags = Object.keys(this.shared.flags);
    this.count = h("output", { "aria-live": "polite" });
    at("items-tools").replaceChildren(
      choice("Cell", this.cells.map((cell) => [String(cell), label(cell)]), String(state.cell), (cell) => this.show(Number(cell), data.sets[state.set].benchmark, state.category)),
      choice("Benchmark", this.sets().map((key) => [key, this.title(key)]), state.set, async (key) => { Object.assign(state, { set: key, category: "", decision: "", flip: "", flag: "" }); await this.load(); this.tools(); this.filter(); }),
      choice("Category", names(this.shared.category), state.category, again("category")),
      choice("Decision", names(this.after.decision), state.decision, again("decision")),
      this.before ? choice("Changed sides", [["", "all"], ["any", "any change"], ...Object.entries(MOVES).filter(([key]) => key)], state.flip, again("flip")) : "",
      flags.length ? choice("Doubt", [["", "all"], ["none", "without any"], ...flags.map((name) => [name, name.replaceAll("_", " ")])], state.flag, again("flag")) : "",
      search(this.texts ? "Search ids, terms, texts" : "Search ids, terms", state.search, again("search")),
      this.texts ? check("show texts", state.reveal, (on) => { state.reveal = on; this.build(); this.filter(true); }) : "",
      this.count);
  }

  title(key) {
    const { benchmark, scorer } = this.data.sets[key];
    const several = this.sets().some((other) => other !== key && this.data.sets[other].benchmark === benchmark);
    return several ? `${benchmark} (${scorer})` : benchmark;
  }

  filter(stay = false) {
    const { state, shared, after } = this;
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [];
    for (let row = 0; row < shared.ids.length; row += 1) {
      if (state.category && named(shared.category, row) !== state.category) continue;
      if (state.decision && named(after.decision, row) !== state.decision) continue;
      if (state.flip && (state.flip === "any" ? !this.direction(row) : this.direction(row) !== state.flip)) continue;
      if (state.flag && !this.flagged(row)) continue;
      if (words.length && !words.every((word) => this.hay()[row].includes(word))) continue;
      rows.push(row);
    }
    const flips = this.before ? rows.filter((row) => ["to_stereo", "to_anti"].includes(this.direction(row))).length : 0;
    this.count.textContent = `${rows.length.toLocaleString("en")} items${this.before ? `, ${flips.toLocaleString("en")} changed sides` : ""}`;
    const page = this.table.page;
    this.table.set(rows);
    if (stay && page * this.table.size < rows.length) { this.table.page = page; this.table.show(); }
  }

  flagged(row) {
    const on = Object.entries(this.shared.flags).filter(([, packed]) => named(packed, row));
    return this.state.flag === "none" ? !on.length : on.some(([name]) => name === this.state.flag);
  }

  hay() {
    if (!this.haystack) {
      const texts = Object.values(this.texts || {});
      this.haystack = this.shared.ids.map((id, row) => [id, named(this.shared.cluster, row), ...texts.map((column_) => column_[row])].join(" ").toLowerCase());
    }
    return this.haystack;
  }

  build() {
    const { shared, after, before, state } = this;
    const toggle = (row) => { if (this.open.has(row)) this.open.delete(row); else this.open.add(row); this.table.show(); };
    const clusters = shared.cluster.rows.some((_, row) => named(shared.cluster, row) !== shared.ids[row]);
    const margin = (side, title) => ({ title, class: "number", key: (row) => side.margins[row], cell: (row) => compact(side.margins[row]) });
    const columns = [
      { title: "item", key: (row) => shared.ids[row], cell: (row) => h("button", { type: "button", class: "open", "aria-expanded": String(this.open.has(row)), onclick: () => { toggle(row); this.refocus(row); } }, clipped(shared.ids[row], 22)) },
      { title: "category", key: (row) => named(shared.category, row), cell: (row) => named(shared.category, row) },
      clusters ? { title: "term", key: (row) => named(shared.cluster, row), cell: (row) => (this.texts && !state.reveal ? "" : named(shared.cluster, row)) } : null,
      state.reveal && this.texts ? { title: "text", class: "says", cell: (row) => this.inLine(row) } : null,
      before ? { title: "before", key: (row) => named(before.decision, row), cell: (row) => named(before.decision, row) } : null,
      { title: before ? "after" : "decision", key: (row) => named(after.decision, row), cell: (row) => named(after.decision, row) },
      before ? margin(before, "margin before") : null,
      margin(after, before ? "margin after" : "margin"),
      before ? { title: "moved", class: "number", key: (row) => Math.abs(after.margins[row] - before.margins[row]), cell: (row) => compact(after.margins[row] - before.margins[row]) } : null,
      before ? { title: "changed sides", key: (row) => this.direction(row), cell: (row) => h("span", { class: "flip" }, MOVES[this.direction(row)]) } : null,
    ].filter(Boolean);
    this.table = new PagedTable(at("items-table"), columns, {
      label: "Items", attributes: (row) => ({ class: "item", "data-row": row, onclick: (event) => { if (!event.target.closest("button")) toggle(row); } }),
      extra: (row) => (this.open.has(row) ? this.inside(row) : null),
    });
  }

  refocus(row) {
    const button = at("items-table").querySelector(`tr[data-row="${row}"] button.open`);
    if (button) button.focus();
  }

  inLine(row) {
    return Object.values(this.texts).map((column_) => column_[row]).filter(Boolean).map((text) => clipped(text, 160)).join(" | ");
  }

  /** Lay out everything that is known of an item. */
  inside(row) {
    const { shared, after, before, state } = this;
    const flags = Object.entries(shared.flags).filter(([, packed]) => named(packed, row)).map(([name]) => h("span", { class: "flag" }, name.replaceAll("_", " ")));
    const place = h("div");
    const texts = () => place.replaceChildren(h("dl", { class: "texts" }, Object.entries(this.texts).filter(([, column_]) => column_[row]).flatMap(([name, column_]) => [h("dt", {}, name), h("dd", {}, column_[row])])));
    if (this.texts && (state.reveal || this.shownTexts === row)) texts();
    else if (this.texts) place.append(h("button", { type: "button", class: "plain", onclick: (event) => { event.stopPropagation(); texts(); } }, "Show its (offensive) text"));
    const line = (name, one, other) => h("tr", {}, h("th", { scope: "row" }, name), before ? h("td", { class: "number" }, one) : "", h("td", { class: "number" }, other));
    const scores = h("table", {}, h("thead", {}, h("tr", {}, h("td"), before ? h("td", { class: "number" }, "before") : "", h("td", { class: "number" }, before ? "after" : "score"))),
      h("tbody", {}, this.scores.map((name) => line(name, before && name in before.scores ? compact(before.scores[name][row]) : "", compact(after.scores[name][row]))),
        line("margin", before ? compact(before.margins[row]) : "", compact(after.margins[row])), line("decision", before ? named(before.decision, row) : "", named(after.decision, row))));
    const skipped = named(after.skipped, row);
    const others = h("div", {}, h("button", { type: "button", class: "plain", onclick: (event) => { event.stopPropagation(); this.everywhere(row, others); } }, "How every cell decided it"));
    return h("div", {}, place, h("div", { class: "pairs" }, scores, h("div", {}, h("p", {}, h("small", {}, "id "), h("code", {}, shared.ids[row])), flags, skipped ? h("p", {}, `skipped: ${skipped}`) : "", others)));
  }

  /** Say what every cell of the sweep decided on an item. */
  async everywhere(row, place) {
    const { set } = this.state;
    const having = this.cells.filter((cell) => this.data.answers[cell].includes(set));
    const found = await Promise.all(having.map(async (cell) => ({ cell, own: answers((await block(`answers-${cell}`))[set]) })));
    place.replaceChildren(h("table", {}, h("tbody", {}, found.map(({ cell, own }) => h("tr", {}, h("th", { scope: "row" }, `${this.data.cells[cell].model} · ${this.data.cells[cell].compression}`), h("td", {}, named(own.decision, row)), h("td", { class: "number" }, compact(own.margins[row])))))));
  }
}

/** Give the columns of a cell's answers as arrays. */
function answers(packed) {
  const side = column(packed.side);
  return {
    scores: Object.fromEntries(Object.entries(packed.scores).map(([name, own]) => [name, column(own).rows])),
    margins: column(packed.margin).rows, decision: column(packed.decision), skipped: column(packed.skipped),
    sides: Array.from(side.rows, (place) => side.names[place]),
  };
}
