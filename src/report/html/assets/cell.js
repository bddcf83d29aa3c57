/* The panel of one cell: what it is, what was done to it, where it ran, how to make it again. */

function tree(settings, before) {
  const flat = (value, prefix = "") => (value && typeof value === "object" && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, inner]) => flat(inner, prefix ? `${prefix}.${key}` : key)) : [[prefix, value]]);
  const other = before ? Object.fromEntries(flat(before)) : null;
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  return h("dl", { class: "tree" }, flat(settings).flatMap(([key, value]) => [h("dt", {}, key),
    h("dd", { class: other && text(other[key]) !== text(value) ? "differs" : null }, text(value))]));
}

function folded(title, ...content) {
  return h("details", {}, h("summary", {}, title), ...content);
}

async function openPanel(data, index) {
  const cell = data.cells[index];
  const [own, twin] = await Promise.all([block(`cell-${index}`), cell.twin === null ? null : block(`cell-${cell.twin}`)]);
  const dialog = at("panel"), { receipt, system, environment, status } = own;
  const fact = (value, name) => (value === "" || value === undefined || value === null ? "" : h("div", {}, h("b", {}, value), h("span", {}, name)));
  const mega = (value) => (typeof value === "number" ? `${shown(value / 1e6, 1)} MB` : "");
  const drift = receipt.drift || {};
  dialog.replaceChildren(
    h("header", {}, h("div", {}, h("h2", { id: "panel-h" }, `${cell.model} · ${cell.compression}`), h("code", {}, own.folder)), h("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Close")),
    h("p", {}, `${cell.state}${status.ended ? `, ended ${String(status.ended).slice(0, 19).replace("T", " ")} UTC` : ""}`, status.fingerprint ? h("small", {}, ` fingerprint ${String(status.fingerprint).slice(0, 16)}…`) : ""),
    status.error ? h("pre", { class: "trace" }, status.error.traceback || status.error.message || "") : "",
    h("div", { class: "facts" }, fact(mega(cell.bytes), "in memory"), fact(mega(cell.disk), "on disk"), fact(shown(cell.bits, 2), "stored bits a weight"),
      cell.dense ? "" : fact(shown(typeof receipt.sparsity === "number" ? 100 * receipt.sparsity : null, 1) && `${shown(100 * receipt.sparsity, 1)} %`, "zero weights"),
      cell.dense ? "" : fact(compact(receipt.relative_error), "relative weight error"), fact(compact(drift.mean_kl), "mean KL to the dense model, nats"),
      fact(typeof drift.top1_agreement === "number" ? `${shown(100 * drift.top1_agreement, 1)} %` : "", "same top-1 prediction"), fact(shown(system.evaluate_seconds, 1), "seconds of scoring")),
    h("h3", {}, "Make it again"),
    own.command ? command(own.command) : h("p", {}, "Hydra's notes (.hydra) are not in its folder; use the sweep's command."),
    own.cwd ? h("p", {}, h("small", {}, "started in "), h("code", {}, own.cwd)) : "",
    folded("Numbers", columnsTable(own.metrics)),
    folded(twin ? "Settings (those that differ from the uncompressed twin are marked)" : "Settings", tree(own.config, twin && twin.config)),
    folded("Receipt of the compression", tree(receipt), Object.keys(own.changes).length ? columnsTable(own.changes) : ""),
    folded("System", tree(system)), folded("Environment", tree(environment)), folded("Status", tree(Object.fromEntries(Object.entries(status).filter(([name]) => name !== "error")))));
  dialog.showModal();
}

function command(text) {
  const button = h("button", { type: "button", class: "plain", onclick: () => copy(button, text) }, "Copy");
  return h("div", { class: "command" }, h("code", {}, text), button);
}

/** Lay out columns of data as a table of pages. */
function columnsTable(columns) {
  const names = Object.keys(columns), place = h("div");
  const value = (name, row) => columns[name][row];
  const numeric = (name) => columns[name].some((each) => typeof each === "number");
  const table = new PagedTable(place, names.map((name) => ({ title: name, class: numeric(name) ? "number" : "", key: (row) => value(name, row), cell: (row) => { const each = value(name, row); return typeof each === "number" ? compact(each) : each === null ? "" : String(each); } })), { label: "Records", size: 25 });
  table.set([...Array(names.length ? columns[names[0]].length : 0).keys()]);
  return place;
}
