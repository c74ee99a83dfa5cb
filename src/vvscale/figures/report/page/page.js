"use strict";
// The page's behaviour: plan calculator, scatter plot, figures, theme. All data are in the page; nothing is fetched.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);

  // ---- packed values -------------------------------------------------------------------------------------------
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  async function inflate(text) {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  // Columns are lists of numbers, or {names, codes} for text.
  const models = (() => {
    const columns = data.models.columns;
    // Without a prototype no column or value is taken for one of JavaScript's own names, such as "constructor".
    const rows = Array.from({ length: data.models.n }, () => Object.create(null));
    for (const [name, column] of Object.entries(columns)) {
      rows.forEach((row, i) => {
        row[name] = Array.isArray(column) ? column[i] : column.codes[i] < 0 ? null : column.names[column.codes[i]];
      });
    }
    return rows;
  })();

  const columnNames = Object.keys(data.models.columns);
  const fieldOf = (column) => `c${columnNames.indexOf(column)}`;

  // ---- theme ---------------------------------------------------------------------------------------------------
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosenTheme = null;
  const isDark = () => (chosenTheme === null ? prefersDark.matches : chosenTheme === "dark");
  function paintTheme() {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    byId("theme").textContent = isDark() ? "Light" : "Dark";
    byId("theme").setAttribute("aria-pressed", String(isDark()));
  }
  byId("theme").addEventListener("click", () => {
    chosenTheme = isDark() ? "light" : "dark";
    paintTheme();
    draw();
  });
  prefersDark.addEventListener("change", () => {
    paintTheme();
    draw();
  });
  paintTheme();

  // ---- numbers for people --------------------------------------------------------------------------------------
  function brief(value) {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size >= 1e15 || (size > 0 && size < 1e-3)) return value.toExponential(2).replace("e+", "e");
    for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (size >= unit) return `${(value / unit).toPrecision(3)} ${name}`;
    }
    return String(Number(value.toPrecision(3)));
  }
  // Linear interpolation between order statistics, as numpy's quantile does.
  function quantile(values, share) {
    const sorted = Float64Array.from(values).sort();
    const at = share * (sorted.length - 1);
    const below = Math.floor(at);
    return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
  }
  // Student's t interval of an estimate from the values without each group, half a step of the cost added.
  function student(values, estimate, cheap, dear, t, isAmount) {
    const [into, outOf] = isAmount ? [Math.log, Math.exp] : [(value) => value, (value) => value];
    const away = values.map((value) => into(value) - into(estimate));
    const variance = ((away.length - 1) / away.length) * away.reduce((sum, each) => sum + each * each, 0);
    const reach = t * Math.hypot(Math.sqrt(variance), (into(cheap) - into(dear)) / 2);
    return [outOf(into(estimate) - reach), outOf(into(estimate) + reach)];
  }
  function interpolate(x, grid, values) {
    if (!(x >= grid[0] && x <= grid[grid.length - 1])) return NaN;
    let right = grid.findIndex((each) => each >= x);
    if (right === 0) right = 1;
    // What is not known is null in the page's data, which arithmetic would take for 0.
    if (values[right - 1] === null || values[right] === null) return NaN;
    const part = Math.log(x / grid[right - 1]) / Math.log(grid[right] / grid[right - 1]);
    return values[right - 1] + part * (values[right] - values[right - 1]);
  }

  // ---- plan calculator -----------------------------------------------------------------------------------------
  function plan(budget, least, most) {
    const { law, cost } = data.plan;
    const best = (A, alpha, B, beta, amount) => {
      const room = Math.log(amount / cost.m);
      const free =
        (Math.log((alpha * A * cost.q) / (beta * B * cost.p)) + (beta * room) / cost.q) / (alpha + (beta * cost.p) / cost.q);
      const held = Math.min(Math.max(free, Math.log(least || 1e-300)), Math.log(most || 1e300));
      return { n: Math.exp(held), d: Math.exp((room - cost.p * held) / cost.q), isHeld: held !== free };
    };
    const outcome = (E, A, alpha, B, beta, at) => E + A * at.n ** -alpha + B * at.d ** -beta;
    const score = (...of) => (data.plan.is_score ? 1 - outcome(...of) : outcome(...of));
    const under = (one, amount) => {
      const at = best(one.A, one.alpha, one.B, one.beta, amount);
      return { ...at, score: score(one.E, one.A, one.alpha, one.B, one.beta, at) };
    };
    const answer = under(law, budget);
    const drawn = { n: [], d: [], score: [] };
    const { E, A, alpha, B, beta } = draws;
    for (let i = 0; i < E.length; i++) {
      // In float32 amplitudes in raw units keep seven digits, more than any interval needs.
      if (!(alpha[i] > 0 && beta[i] > 0 && A[i] > 0 && B[i] > 0)) continue;
      // A network's cost leaves its fit by a factor: as good as another budget.
      const amount = data.plan.t ? budget : budget / scatter[drawn.n.length];
      const each = under({ E: E[i], A: A[i], alpha: alpha[i], B: B[i], beta: beta[i] }, amount);
      for (const name of Object.keys(drawn)) drawn[name].push(each[name]);
    }
    const step = 10 ** cost.scatter;
    const [cheap, dear] = [under(law, budget * step), under(law, budget / step)];
    answer.intervals = {};
    for (const [name, values] of Object.entries(drawn)) {
      answer.intervals[name] = !values.length ? null : data.plan.t
        ? student(values, answer[name], cheap[name], dear[name], data.plan.t, name !== "score")
        : [Math.min(quantile(values, 0.025), answer[name]), Math.max(quantile(values, 0.975), answer[name])];
    }
    const { x, predicted_low, predicted_high } = data.plan.path;
    answer.predicted = answer.isHeld ? [NaN, NaN] : [interpolate(budget, x, predicted_low), interpolate(budget, x, predicted_high)];
    return answer;
  }
  const scatter = data.plan ? floats(data.plan.scatter) : null;
  const draws = data.plan
    ? Object.fromEntries(Object.entries(data.plan.draws).map(([name, packed]) => [name, floats(packed)]))
    : null;
  const amount = (text) => {
    const cleaned = text.trim().replace(/[,_\s]/g, "").replace(/×10\^?|x10\^?|\*10\^/i, "e");
    return cleaned === "" ? null : Number(cleaned);
  };
  function paintPlan() {
    const problem = byId("plan-problem");
    problem.textContent = "";
    const budget = amount(byId("budget").value);
    const least = amount(byId("least").value);
    const most = amount(byId("most").value);
    const cells = ["plan-n", "plan-d", "plan-score", "plan-new"].map(byId);
    const refuse = (text) => {
      problem.textContent = text;
      cells.forEach((cell) => (cell.textContent = "–"));
    };
    if (!(budget > 0 && Number.isFinite(budget))) return refuse("A budget is a positive number of FLOP, such as 1e20.");
    for (const bound of [least, most]) {
      if (bound !== null && !(bound > 0)) return refuse("A bound on N is a positive number of parameters, such as 1e7.");
    }
    if (least && most && least > most) return refuse("The smallest N is larger than the largest.");
    const answer = plan(budget, least, most);
    // Counts below one, or ends that lie six decades apart, are no answer to how many.
    const isOpen = (ends) => !(ends[0] >= 1 && ends[1] <= 1e6 * ends[0]);
    const pair = (ends) => (ends ? `<br><span class="small">${isOpen(ends) ? "not known: over six decades" : `${brief(ends[0])} to ${brief(ends[1])}`}</span>` : "");
    const digits = (value) => (Number.isFinite(value) ? value.toFixed(3) : "–");
    const ends = answer.intervals.score;
    cells[0].innerHTML = `<b>${brief(answer.n)}</b>${pair(answer.intervals.n)}`;
    cells[1].innerHTML = `<b>${brief(answer.d)}</b>${pair(answer.intervals.d)}`;
    cells[2].innerHTML =
      `<b>${digits(answer.score)}</b>` + (ends ? `<br><span class="small">${digits(ends[0])} to ${digits(ends[1])}</span>` : "");
    cells[3].innerHTML = Number.isFinite(answer.predicted[0])
      ? `<b>${answer.predicted.map(digits).join(" to ")}</b>`
      : `<span class="small">not known here</span>`;
    const beyond = budget / data.plan.largest;
    const below = data.plan.smallest / budget;
    // The largest run itself, typed with three digits, is no extrapolation.
    if (beyond > 1.01) problem.textContent = `${brief(beyond)} times the largest budget in the table: an extrapolation.`;
    if (below > 1) problem.textContent = `${brief(below)} times below the smallest budget in the table: an extrapolation.`;
    // As `vvscale plan` has it; the largest run times the limit is inside, whatever its digits.
    if (Math.max(beyond, below) > 1.01 * data.plan.farthest) {
      problem.textContent += ` Nothing is advised more than ${brief(data.plan.farthest)} times beyond the rows.`;
    }
    // A budget inside the rows may still be split far outside of them.
    for (const [value, most, name] of [[answer.n, data.plan.largest_n, "parameters"], [answer.d, data.plan.largest_d, "samples seen"]]) {
      if (value > 1.01 * data.plan.farthest * most) {
        problem.textContent += ` ${brief(value)} ${name} are ${brief(value / most)} times the most in the table: no advice.`;
      }
    }
    if (answer.isHeld) problem.textContent += " A bound on N holds the plan away from its optimum.";
  }
  if (data.plan) {
    byId("planner").addEventListener("input", paintPlan);
    byId("planner").addEventListener("submit", (event) => event.preventDefault());
    for (const button of document.querySelectorAll("[data-budget]")) {
      button.addEventListener("click", () => {
        byId("budget").value = button.dataset.budget;
        paintPlan();
      });
    }
  }

  // ---- explorer: state and its link ----------------------------------------------------------------------------
  const { axes, groups, colours } = data.explore;
  const selects = { x: axes.x, y: axes.y, colour: groups, facet: { "": "none", ...groups } };
  const defaults = { ...data.explore.defaults, search: "", regression: "" };
  let state = {};
  for (const [id, options] of Object.entries(selects)) {
    for (const [value, label] of Object.entries(options)) byId(id).add(new Option(label, value));
  }
  const valuesOf = {};
  for (const column of Object.keys(groups)) {
    const counts = new Map();
    models.forEach((row) => counts.set(row[column], (counts.get(row[column]) || 0) + 1));
    valuesOf[column] = [...counts].filter(([name]) => name !== null).sort((a, b) => b[1] - a[1]);
  }
  function makeFilters() {
    for (const column of data.explore.filters) {
      const box = document.createElement("details");
      const open = document.createElement("summary");
      open.id = `summary-${column}`;
      const set = document.createElement("fieldset");
      set.innerHTML = `<legend class="small">Show only; nothing ticked shows all</legend>`;
      const choices = document.createElement("div");
      choices.className = "choices";
      for (const [value, n] of valuesOf[column]) {
        const label = document.createElement("label");
        const tick = Object.assign(document.createElement("input"), { type: "checkbox", name: column, value });
        label.append(tick, `${value} (${n})`);
        choices.append(label);
      }
      set.append(choices);
      box.append(open, set);
      byId("filters").append(box);
    }
  }
  const ticks = (column) => [...document.querySelectorAll(`#filters input[name="${CSS.escape(column)}"]`)];
  function readHash() {
    const given = new URLSearchParams(location.hash.replace(/^#/, ""));
    const isOurs = [...given.keys()].some((key) => [selects, groups, defaults].some((names) => Object.hasOwn(names, key)));
    const known = { ...defaults, filters: Object.create(null) };
    if (isOurs) {
      for (const key of Object.keys(defaults)) if (given.has(key)) known[key] = given.get(key);
      for (const column of data.explore.filters) if (given.has(column)) known.filters[column] = given.getAll(column);
    }
    for (const [id, options] of Object.entries(selects)) if (!Object.hasOwn(options, known[id])) known[id] = defaults[id];
    return [known, isOurs];
  }
  function hashOf() {
    const given = new URLSearchParams();
    for (const key of Object.keys(defaults)) if (state[key] !== defaults[key]) given.set(key, state[key]);
    for (const [column, values] of Object.entries(state.filters)) values.forEach((value) => given.append(column, value));
    return given.toString();
  }
  function paintControls() {
    for (const id of Object.keys(selects)) byId(id).value = state[id];
    byId("search").value = state.search;
    byId("regression").checked = state.regression === "1";
    for (const column of data.explore.filters) {
      const chosen = new Set(state.filters[column] || []);
      ticks(column).forEach((tick) => (tick.checked = chosen.has(tick.value)));
      byId(`summary-${column}`).textContent = `${groups[column]}: ${chosen.size ? [...chosen].join(", ") : "all"}`;
    }
  }
  function readControls() {
    for (const id of Object.keys(selects)) state[id] = byId(id).value;
    state.search = byId("search").value;
    state.regression = byId("regression").checked ? "1" : "";
    state.filters = Object.create(null);
    for (const column of data.explore.filters) {
      const chosen = ticks(column).filter((tick) => tick.checked).map((tick) => tick.value);
      if (chosen.length) state.filters[column] = chosen;
    }
    brush = null;
    // An empty hash would scroll to the top.
    history.replaceState(null, "", `#${hashOf() || "explore"}`);
    paintControls();
    draw();
  }

  // ---- explorer: what is shown and selected --------------------------------------------------------------------
  let brush = null;
  let view = null;
  const scaleOf = (column) => (data.explore.log.includes(column) ? "log" : "linear");
  function shown() {
    const search = state.search.trim().toLowerCase();
    return models.filter(
      (row) =>
        row[state.x] !== null && row[state.y] !== null &&
        (scaleOf(state.x) !== "log" || row[state.x] > 0) &&
        (!search || row.model_id.toLowerCase().includes(search)) &&
        Object.entries(state.filters).every(([column, values]) => values.includes(row[column])),
    );
  }
  function selected() {
    const rows = shown();
    if (!brush) return rows;
    const inside = (value, [low, high]) => value >= Math.min(low, high) && value <= Math.max(low, high);
    return rows.filter((row) => [...brush].every(([column, ends]) => inside(row[column], ends)));
  }
  function paintSelection() {
    const rows = selected();
    byId("count").textContent = `${rows.length} of ${models.length} models${brush ? " selected" : ""}`;
    if (!byId("list").open) return;
    const columns = ["model_id", state.x, state.y, ...data.explore.filters];
    const names = columns.map((column) => axes.x[column] || axes.y[column] || groups[column] || "model");
    const table = byId("rows");
    table.replaceChildren();
    const line = (cells, tag) => {
      const tr = document.createElement("tr");
      cells.forEach((cell) => {
        const td = document.createElement(tag);
        td.textContent = typeof cell === "number" ? brief(cell) : (cell ?? "");
        if (typeof cell === "number") td.className = "number";
        tr.append(td);
      });
      return tr;
    };
    table.append(line(names, "th"), ...rows.slice(0, 200).map((row) => line(columns.map((column) => row[column]), "td")));
    if (rows.length > 200) table.append(line([`and ${rows.length - 200} more: see the CSV`], "td"));
  }

  function spec(width) {
    const ink = getComputedStyle(document.documentElement);
    const colour = (name) => ink.getPropertyValue(name).trim();
    const values = shown();
    const present = new Set(values.map((row) => row[state.colour] ?? "unknown"));
    const names = [...valuesOf[state.colour].map(([name]) => name), "unknown"].filter((name) => present.has(name));
    const others = ["#B8A800", "#7A7A7A", "#CC79A7", "#56B4E9", "#E69F00", "#009E73", "#0072B2", "#D55E00"];
    const axis = (column, label) => {
      if (scaleOf(column) !== "log") {
        return {
          field: fieldOf(column), type: "quantitative", title: label, scale: { zero: false, padding: 8 },
          axis: { tickCount: width < 480 ? 4 : 7 },
        };
      }
      const powers = values.map((row) => Math.log10(row[column]));
      const low = Math.floor(powers.reduce((a, b) => Math.min(a, b), Infinity));
      const high = Math.ceil(powers.reduce((a, b) => Math.max(a, b), -Infinity));
      const step = Math.ceil((high - low) / (width < 480 || state.facet ? 4 : 8)) || 1;
      const ticks = [];
      for (let power = low; power <= high; power += step) ticks.push(10 ** power);
      return {
        field: fieldOf(column), type: "quantitative", title: label, scale: { type: "log", nice: false, padding: 8 },
        axis: { values: ticks, format: "~e" },
      };
    };
    const facets = state.facet ? [...new Set(values.map((row) => row[state.facet] ?? "unknown"))] : [];
    const nColumns = state.facet ? Math.max(1, Math.min(facets.length, Math.floor(width / 240))) : 1;
    const legendWidth = width > 700 ? 150 : 0;
    const panelWidth = Math.max(120, (width - legendWidth - 60 * (state.facet ? nColumns : 1)) / nColumns - 8);
    const tips = data.explore.tips.map(([column, title]) => ({
      field: fieldOf(column), title, ...(typeof models[0][column] === "number" || data.explore.numbers.includes(column) ? { type: "quantitative", format: ".4~g" } : { type: "nominal" }),
    }));
    const field = "series";
    const legend = { orient: legendWidth ? "right" : "bottom", columns: legendWidth ? 1 : 2, symbolOpacity: 1 };
    const layer = [
      {
        params: [{ name: "brush", select: { type: "interval" } }],
        mark: { type: "point", filled: true, size: 42, opacity: isDark() ? 0.92 : 0.62 },
        encoding: {
          x: axis(state.x, axes.x[state.x]),
          y: axis(state.y, axes.y[state.y]),
          color: {
            field, type: "nominal", title: groups[state.colour], legend,
            scale: { domain: names, range: names.map((name, i) => Object.hasOwn(colours, name) ? colours[name] : others[i % others.length]) },
          },
          shape: { field, type: "nominal", title: groups[state.colour], legend, scale: { domain: names } },
          tooltip: tips,
        },
      },
    ];
    if (state.regression === "1") {
      layer.push({
        mark: { type: "line", clip: true, strokeWidth: 2 },
        transform: [{ regression: fieldOf(state.y), on: fieldOf(state.x), groupby: [field], method: scaleOf(state.x) === "log" ? "log" : "linear" }],
        encoding: { x: axis(state.x, axes.x[state.x]), y: axis(state.y, axes.y[state.y]), color: { field, type: "nominal" } },
      });
    }
    const inner = { width: panelWidth, height: state.facet ? 190 : Math.min(440, Math.max(280, width * 0.5)), layer };
    // A user's column may be called "loss.val", which Vega would look for inside of "loss", or "series": each gets a
    // name that is ours alone.
    const rows = values.map((row) => {
      const made = { series: row[state.colour] ?? "unknown", panel: state.facet ? (row[state.facet] ?? "unknown") : "" };
      for (const column of columnNames) made[fieldOf(column)] = row[column];
      return made;
    });
    const body = state.facet
      ? { facet: { field: "panel", type: "nominal", title: null }, columns: nColumns, spec: inner }
      : inner;
    return {
      $schema: data.explore.schema,
      data: { values: rows },
      ...body,
      background: "transparent",
      config: {
        font: "system-ui, sans-serif",
        view: { stroke: colour("--line") },
        axis: { labelColor: colour("--ink"), titleColor: colour("--ink"), gridColor: colour("--grid"), domainColor: colour("--dim"), tickColor: colour("--dim"), titleFontWeight: "normal" },
        legend: { labelColor: colour("--ink"), titleColor: colour("--ink"), titleFontWeight: "normal" },
        header: { labelColor: colour("--ink"), titleColor: colour("--ink") },
      },
    };
  }

  let drawing = 0;
  async function draw() {
    const mine = ++drawing;
    const width = byId("plot").clientWidth;
    const made = await vegaEmbed("#plot", spec(width), {
      // Only errors: a group of one model has no regression line, and that is all there is to say of it.
      logLevel: 1, actions: false, renderer: "svg", tooltip: { theme: isDark() ? "dark" : "light" }, mode: "vega-lite",
    });
    // A later call has drawn since.
    if (mine !== drawing) return made.finalize();
    view?.finalize();
    view = made;
    try {
      made.view.addDataListener("brush_store", (_, stored) => {
        const one = stored[stored.length - 1];
        brush = one ? new Map(one.fields.map((each, i) => [columnNames[Number(each.field.slice(1))], one.values[i]])) : null;
        paintSelection();
      });
    } catch {
      // Nothing is shown, so there is nothing to select.
    }
    paintSelection();
    document.body.dataset.drawn = String(mine);
  }

  // ---- explorer: files -----------------------------------------------------------------------------------------
  function download(name, text, kind) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: kind }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  const cell = (value) => {
    const plain = value === null || value === undefined ? "" : String(value);
    // A spreadsheet would run a name that begins like a formula; an apostrophe makes it text.
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  byId("csv").addEventListener("click", () => {
    const columns = Object.keys(data.models.columns);
    const lines = [columns.map(cell).join(","), ...selected().map((row) => columns.map((column) => cell(row[column])).join(","))];
    download("models.csv", `${lines.join("\n")}\n`, "text/csv");
  });
  byId("bibtex").addEventListener("click", () => {
    const keys = new Set(data.cite.always);
    for (const row of selected()) {
      for (const [column, byValue] of Object.entries(data.cite.by)) (Object.hasOwn(byValue, row[column]) ? byValue[row[column]] : []).forEach((key) => keys.add(key));
    }
    const text = [...keys].map((key) => data.cite.entries[key]).join("\n\n");
    download("references.bib", `${text}\n`, "application/x-bibtex");
  });
  byId("link").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      byId("count").textContent = "Link copied.";
    } catch {
      window.prompt("The link to this view:", location.href);
    }
  });
  byId("reset").addEventListener("click", () => {
    state = { ...defaults, filters: {} };
    paintControls();
    readControls();
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").addEventListener("input", readControls);
  byId("filters").addEventListener("change", readControls);
  byId("list").addEventListener("toggle", paintSelection);
  window.addEventListener("hashchange", () => {
    const [given, isOurs] = readHash();
    if (!isOurs) return;
    state = given;
    brush = null;
    paintControls();
    draw();
  });
  let waiting = 0;
  let lastWidth = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === lastWidth) return;
    lastWidth = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 150);
  });

  // ---- figures -------------------------------------------------------------------------------------------------
  // Drawn as they come near the window: all of them at once would be many thousands of marks.
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) paintFigure(entry.target);
  }, { rootMargin: "600px" });
  async function paintFigure(place) {
    near.unobserve(place);
    if (place.childElementCount) return;
    place.innerHTML = await inflate(data.figures[place.dataset.figure]);
  }
  document.querySelectorAll(".drawing").forEach((place) => near.observe(place));
  window.addEventListener("beforeprint", () => document.querySelectorAll(".drawing").forEach(paintFigure));

  makeFilters();
  const [given, isOurs] = readHash();
  state = given;
  paintControls();
  if (data.plan) paintPlan();
  draw().then(() => isOurs && byId("explore").scrollIntoView());
})();
