/* Tables: those of the page become sortable, those of thousands of rows are shown in pages. */

/** Compare two values, missing ones last. */
function order(a, b, down) {
  const missing = (value) => value === null || value === undefined || value === "" || Number.isNaN(value);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const sign = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -sign : sign;
}

/** Put a button into each head of a table of the page, by which its rows are sorted. */
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = h("button", { type: "button", onclick: () => sort(place) });
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
  });

  function sort(place) {
    const down = heads[place].getAttribute("aria-sort") === "ascending";
    heads.forEach((head, other) => head.setAttribute("aria-sort", other === place ? (down ? "descending" : "ascending") : "none"));
    const numbers = heads[place].dataset.kind === "number";
    const keyed = [...table.tBodies[0].rows].map((row) => {
      const cell = row.cells[place];
      return { row, key: numbers ? ("sort" in cell.dataset ? Number(cell.dataset.sort) : null) : cell.textContent.trim() };
    });
    keyed.sort((one, other) => order(one.key, other.key, down));
    table.tBodies[0].append(...keyed.map(({ row }) => row));
  }
}

/**
 * A table that makes the rows of one page only.
 *
 * columns: [{title, key(row), cell(row), class, sortable}]; rows are places in columns of data.
 * `first` names the column that rows are sorted by at first. extra(row) may give a row that stands below one that is open.
 */
class PagedTable {
  constructor(place, columns, options) {
    Object.assign(this, { place, columns, size: 50, page: 0, sorted: null, down: false, rows: [], label: "" }, options);
    if (this.first) this.sorted = columns.findIndex((each) => each.title === this.first);
    this.heads = columns.map((each, index) => h("th", { scope: "col", class: each.class, "aria-sort": "none" },
      each.key ? h("button", { type: "button", onclick: () => this.sort(index) }, each.title) : each.title));
    this.body = h("tbody");
    this.pages = h("div", { class: "pages" });
    const table = h("table", {}, h("thead", {}, h("tr", {}, this.heads)), this.body);
    place.replaceChildren(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": this.label }, table), this.pages);
  }

  sort(index) {
    this.down = this.sorted === index ? !this.down : false;
    this.sorted = index;
    this.page = 0;
    this.show();
  }

  /** Show other rows, from their first page on. */
  set(rows) {
    this.rows = rows;
    this.page = 0;
    this.show();
  }

  show() {
    this.heads.forEach((head, place) => head.setAttribute("aria-sort", place !== this.sorted ? "none" : this.down ? "descending" : "ascending"));
    let rows = this.rows;
    if (this.sorted !== null) {
      const { key } = this.columns[this.sorted];
      const keys = new Map(rows.map((row) => [row, key(row)]));
      rows = [...rows].sort((a, b) => order(keys.get(a), keys.get(b), this.down) || a - b);
    }
    this.ordered = rows;
    const first = this.page * this.size;
    this.body.replaceChildren(...rows.slice(first, first + this.size).flatMap((row) => this.line(row)));
    this.turn(first);
  }

  line(row) {
    const line = h("tr", this.attributes ? this.attributes(row) : {}, this.columns.map((each) => {
      const content = each.cell(row);
      return h("td", { class: each.class }, ...(Array.isArray(content) ? content : [content]));
    }));
    const below = this.extra && this.extra(row);
    return below ? [line, h("tr", { class: "inside" }, h("td", { colspan: this.columns.length }, below))] : [line];
  }

  turn(first) {
    const last = Math.min(first + this.size, this.rows.length);
    const step = (by) => () => { this.page += by; this.show(); this.place.querySelector(".scroll").scrollTop = 0; };
    this.pages.replaceChildren(
      h("span", {}, this.rows.length ? `${first + 1}–${last} of ${this.rows.length.toLocaleString("en")}` : "nothing matches"),
      h("button", { type: "button", class: "plain", disabled: first === 0, onclick: step(-1) }, "Previous"),
      h("button", { type: "button", class: "plain", disabled: last >= this.rows.length, onclick: step(1) }, "Next"));
  }
}
