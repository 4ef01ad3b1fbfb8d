// Draws the pictures of a report, and makes its tabs, its theme and its table of slices work.
//
// What comes from checkpoints is data: it is put into the page as text alone, never as markup, an
// address or an expression. Nothing is fetched.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  function element(tag, attributes = {}, text = null) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== null) made.textContent = text;
    return made;
  }

  // Light and dark.

  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (prefersDark.matches ? "dark" : "light");

  function nameTheme() {
    byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", `Switch to ${theme() === "dark" ? "light" : "dark"} colours`);
  }

  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    nameTheme();
    drawAll();
  });
  prefersDark.addEventListener("change", () => {
    nameTheme();
    drawAll();
  });
  nameTheme();

  // First pages for four readers: tabs, which without this script are sections one below another.

  const tabs = [...document.querySelectorAll(".tabs a")];
  const panels = tabs.map((tab) => byId(tab.hash.slice(1)));
  document.querySelector(".tabs").setAttribute("role", "tablist");
  tabs.forEach((tab, index) => {
    tab.setAttribute("role", "tab");
    tab.id = `tab-${panels[index].id}`;
    tab.setAttribute("aria-controls", panels[index].id);
    panels[index].setAttribute("role", "tabpanel");
    panels[index].setAttribute("aria-labelledby", tab.id);
    panels[index].querySelector("h2").hidden = true;
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      show(index);
      history.replaceState(null, "", tab.hash);
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) {
        const next = (index + step + tabs.length) % tabs.length;
        show(next);
        tabs[next].focus();
        event.preventDefault();
      } else if (event.key === " ") {
        show(index);
        event.preventDefault();
      }
    });
  });

  function show(chosen) {
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
      panels[index].hidden = index !== chosen;
    });
  }

  const named = tabs.findIndex((tab) => tab.hash === location.hash);
  show(Math.max(named, 0));
  window.addEventListener("hashchange", () => {
    const index = tabs.findIndex((tab) => tab.hash === location.hash);
    if (index >= 0) show(index);
  });

  // What the pointer is at.

  const tip = byId("tip");

  function showTip(event, value) {
    if (!value || typeof value !== "object") {
      tip.hidden = true;
      return;
    }
    const list = element("dl");
    for (const [title, text] of Object.entries(value)) {
      if (text === null || text === undefined || text === "null" || text === "NaN") continue;
      list.append(element("dt", {}, title), element("dd", {}, String(text)));
    }
    tip.replaceChildren(list);
    tip.hidden = false;
    const room = 14;
    const { width, height } = tip.getBoundingClientRect();
    const right = event.clientX + room + width < window.innerWidth;
    const below = event.clientY + room + height < window.innerHeight;
    tip.style.left = `${Math.max(4, right ? event.clientX + room : event.clientX - room - width)}px`;
    tip.style.top = `${Math.max(4, below ? event.clientY + room : event.clientY - room - height)}px`;
  }

  // Pictures.

  const NAMES = new Set(["domain", "sort", "data", "datasets", "values"]);

  function painted(spec, colors) {
    if (Array.isArray(spec)) return spec.map((each) => painted(each, colors));
    if (spec !== null && typeof spec === "object") {
      return Object.fromEntries(
        Object.entries(spec).map(([key, value]) => [key, NAMES.has(key) ? value : painted(value, colors)]),
      );
    }
    return typeof spec === "string" && Object.hasOwn(colors, spec) ? colors[spec] : spec;
  }

  function rowsOf(columns) {
    const names = Object.keys(columns);
    const count = names.length ? columns[names[0]].length : 0;
    const rows = new Array(count);
    for (let row = 0; row < count; row += 1) {
      const made = {};
      for (const name of names) made[name] = columns[name][row];
      rows[row] = made;
    }
    return rows;
  }

  const refuse = () => Promise.reject(new Error("this page loads nothing"));
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
  const views = new Map();
  let drawing = 0;

  async function drawAll() {
    drawing += 1;
    const mine = drawing;
    const chosen = theme();
    for (const place of document.querySelectorAll(".chart")) {
      if (mine !== drawing) return;
      await draw(place, chosen);
      // A pause, in which the page answers to whoever reads it.
      await new Promise((done) => setTimeout(done, 0));
    }
    root.dataset.drawn = chosen;
  }

  async function draw(place, chosen) {
    const figure = data.figures[place.dataset.figure];
    const colors = data.themes[chosen];
    const spec = painted(figure.spec, colors);
    spec.datasets = { ...spec.datasets, rows: rowsOf(figure.columns) };
    views.get(place)?.finalize();
    const result = await vegaEmbed(place, spec, {
      actions: false,
      ast: true,
      mode: "vega-lite",
      config: painted(data.config, colors),
      defaultStyle: false,
      loader,
      renderer: figure.large ? "canvas" : "svg",
      tooltip: (handler, event, item, value) => showTip(event, value),
    });
    place.dataset.theme = chosen;
    views.set(place, result);
    result.view.addEventListener("mouseover", (event, item) => saidOf(item?.datum));
    result.view.addEventListener("click", (event, item) => {
      const at = item?.datum?.at;
      if (at !== undefined && layerPick.querySelector(`option[value="${CSS.escape(at)}"]`)) pickLayer(at);
    });
  }

  // A layer that the pointer is at, or that is chosen, is told in words.

  const layerPick = byId("layer");
  const layerSaid = byId("layer-said");
  const weightFigures = Object.entries(data.figures).filter(([name]) => name.startsWith("weights"));

  function saidOf(datum) {
    if (datum?.at === undefined || datum.at === null) return;
    layerPick.value = String(datum.at);
    tellLayer(String(datum.at));
  }

  function tellLayer(at) {
    const parts = [];
    for (const name of [...weightFigures.map(([name]) => name), "residual", "mismatches"]) {
      const figure = data.figures[name];
      if (!figure) continue;
      const rows = rowsOf(figure.columns).filter((row) => row.at === at);
      if (!rows.length) continue;
      const field = { residual: "ratio", mismatches: "share" }[name] ?? "guess";
      const told = rows
        .filter((row) => row[field] !== null)
        .map((row) => `${row.component} ${name === "mismatches" ? share(row[field]) : number(row[field])}`);
      if (told.length) parts.push(`${figure.subject}: ${told.join(", ")}`);
    }
    layerSaid.textContent = parts.join(" · ");
  }

  function pickLayer(at) {
    layerPick.value = at;
    tellLayer(at);
    const filter = byId("filter-layer");
    if ([...filter.options].some((option) => option.value === at)) {
      filter.value = at;
      filter.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  for (const at of data.layers) layerPick.append(element("option", { value: at }, at));
  layerPick.addEventListener("change", () => tellLayer(layerPick.value));
  if (data.layers.length) {
    layerPick.selectedIndex = data.layers.length > 1 && data.layers[0] === "none" ? 1 : 0;
    document.querySelector(".layer-pick").hidden = false;
    tellLayer(layerPick.value);
  }

  // Numbers as text.

  const counts = new Intl.NumberFormat("en");

  function number(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    return size !== 0 && (size >= 1e6 || size < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(5)));
  }

  function share(value) {
    if (value === null || value === undefined) return "–";
    if (value === 1 || value === 0) return `${100 * value}%`;
    // Only all is shown as all.
    return `${Math.min(Number((100 * value).toPrecision(4)), 99.99)}%`;
  }

  const TELL = {
    text: (value) => value,
    word: (value) => value,
    number,
    share,
    count: (value) => (value === null ? "–" : counts.format(value)),
  };

  // The table of slices: rows that are not in sight are not in the page.

  const HEIGHT = 30;
  const BEYOND = 12;

  async function columnsOf(table) {
    if (table.columns) return table.columns;
    const packed = Uint8Array.from(atob(table.packed), (each) => each.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async function makeTable() {
    const place = byId("table");
    if (!data.table.rows) return;
    const columns = await columnsOf(data.table);
    const column = Object.fromEntries(columns.map((each) => [each.name, each]));
    const valueAt = (each, row) => (each.words ? each.words[each.values[row]] : each.values[row]);
    const names = column.slice.values.map((name) => name.toLowerCase());
    const natural = new Intl.Collator("en", { numeric: true });
    const all = Uint32Array.from({ length: data.table.rows }, (_, row) => row);
    let shown = all;
    let sorted = { name: null, down: false };

    const grid = byId("grid");
    const [head, body] = [grid.querySelector("thead"), grid.querySelector("tbody")];
    const titles = element("tr");
    for (const each of columns) {
      const cell = element("th", { scope: "col", "aria-sort": "none" });
      if (each.kind !== "text" && each.kind !== "word") cell.className = "num";
      const button = element("button", { type: "button" }, each.title);
      button.addEventListener("click", () => {
        sorted = { name: each.name, down: sorted.name === each.name ? !sorted.down : cell.className === "num" };
        update();
      });
      cell.append(button);
      titles.append(cell);
    }
    head.append(titles);
    const above = element("tr", { class: "space", "aria-hidden": "true" });
    const below = above.cloneNode();
    const [aboveCell, belowCell] = [element("td", { colspan: columns.length }), element("td", { colspan: columns.length })];
    above.append(aboveCell);
    below.append(belowCell);

    function options(select, values) {
      for (const value of values) select.append(element("option", { value }, value));
    }
    options(byId("filter-part"), column.component?.words ?? []);
    const layers = [...new Set(column.layer?.values ?? [])].filter((each) => each !== null);
    options(byId("filter-layer"), layers.sort((a, b) => a - b).map(String));
    byId("filter-off").parentElement.hidden = !column.mismatched;

    function compare(each, down) {
      const sign = down ? -1 : 1;
      if (each.kind === "text") return (a, b) => sign * natural.compare(each.values[a], each.values[b]) || a - b;
      if (each.words) return (a, b) => sign * natural.compare(valueAt(each, a), valueAt(each, b)) || a - b;
      return (a, b) => {
        const [one, two] = [each.values[a], each.values[b]];
        // What is not known comes last, whichever way.
        if (one === null || two === null) return (one === null) - (two === null) || a - b;
        return sign * (one - two) || a - b;
      };
    }

    function update() {
      const text = byId("filter-name").value.trim().toLowerCase();
      const part = byId("filter-part").value;
      const layer = byId("filter-layer").value;
      const off = byId("filter-off").checked;
      const code = part === "" ? -1 : column.component.words.indexOf(part);
      shown = all.filter(
        (row) =>
          (text === "" || names[row].includes(text)) &&
          (code < 0 || column.component.values[row] === code) &&
          (layer === "" || String(column.layer.values[row]) === layer) &&
          (!off || column.mismatched.values[row] > 0),
      );
      if (sorted.name !== null) shown = shown.sort(compare(column[sorted.name], sorted.down));
      [...titles.children].forEach((cell, index) => {
        const is = columns[index].name === sorted.name;
        cell.setAttribute("aria-sort", is ? (sorted.down ? "descending" : "ascending") : "none");
        cell.firstChild.textContent = columns[index].title + (is ? (sorted.down ? " ↓" : " ↑") : "");
      });
      byId("count").textContent = `${counts.format(shown.length)} of ${counts.format(all.length)} slices`;
      grid.querySelector("table").setAttribute("aria-rowcount", String(shown.length + 1));
      grid.scrollTop = 0;
      rows(true);
    }

    let [from, to] = [-1, -1];
    function rows(again) {
      const first = Math.max(0, Math.floor(grid.scrollTop / HEIGHT) - BEYOND);
      const last = Math.min(shown.length, Math.ceil((grid.scrollTop + grid.clientHeight) / HEIGHT) + BEYOND);
      if (!again && first === from && last === to) return;
      [from, to] = [first, last];
      aboveCell.style.height = `${first * HEIGHT}px`;
      belowCell.style.height = `${(shown.length - last) * HEIGHT}px`;
      const made = [above];
      for (let place = first; place < last; place += 1) {
        const row = shown[place];
        const line = element("tr", { "aria-rowindex": place + 2 });
        columns.forEach((each, index) => {
          const text = TELL[each.kind](valueAt(each, row));
          const cell = index === 0 ? element("th", { scope: "row" }, text) : element("td", {}, text);
          if (index === 0) cell.title = text;
          if (each.kind !== "text" && each.kind !== "word") cell.className = "num";
          line.append(cell);
        });
        made.push(line);
      }
      made.push(below);
      body.replaceChildren(...made);
    }

    let waiting = false;
    grid.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        rows(false);
      });
    });
    const form = byId("filters");
    form.addEventListener("input", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => {
      sorted = { name: null, down: false };
      update();
    }, 0));
    place.hidden = false;
    update();
    root.dataset.table = "ready";
  }

  makeTable().catch((error) => {
    byId("slices").append(element("p", { class: "note" }, `The table can not be shown here: ${error.message}`));
  });
  drawAll().catch((error) => {
    byId("pictures").append(element("p", { class: "note" }, `Pictures can not be drawn here: ${error.message}`));
    throw error;
  });
})();
