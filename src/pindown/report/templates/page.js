"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const live = document.getElementById("live");
  const plots = [...document.querySelectorAll(".plot")];
  const PRINT_WIDTH = 660, PRINT_HALF = 318;

  /* ---- charts -------------------------------------------------------------------------------------------- */

  const colour = (token) => {
    const [name, opacity] = token.slice(1).split("/");
    const hex = getComputedStyle(root).getPropertyValue("--" + name).trim();
    if (!opacity) return hex;
    const channel = (i) => parseInt(hex.slice(i, i + 2), 16);
    return `rgba(${channel(1)},${channel(3)},${channel(5)},${opacity})`;
  };

  /* "@name" stands for a colour of the page, but only where a colour is asked for: data may hold any text. */
  const resolve = (value, key) => {
    if (Array.isArray(value)) return value.map((v) => resolve(v, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, k)]));
    }
    return typeof value === "string" && /color(scale)?$/i.test(key) && /^@\w+/.test(value) ? colour(value) : value;
  };

  const merge = (base, over) => {
    const out = { ...base };
    for (const [k, v] of Object.entries(over)) {
      const both = v && typeof v === "object" && !Array.isArray(v) && out[k] && typeof out[k] === "object";
      out[k] = both ? merge(out[k], v) : v;
    }
    return out;
  };

  const themed = (layout, width) => {
    const narrow = width < 520;
    const axis = {
      gridcolor: "@grid", linecolor: "@line", tickcolor: "@line", zeroline: false, automargin: true, ticks: "outside",
      ticklen: 4, title: { font: { size: narrow ? 12 : 13, color: "@muted" }, standoff: 8 },
      tickfont: { size: narrow ? 11 : 12, color: "@muted" }, fixedrange: coarse.matches,
    };
    let out = {
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 12 : 13, color: "@ink" },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 8, r: 12, t: 8, b: 8 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
      hoverlabel: { bgcolor: "@raised", bordercolor: "@line", font: { color: "@ink", size: 13 }, align: "left" },
      hovermode: "closest", dragmode: coarse.matches ? false : "zoom",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "@muted", activecolor: "@ink" },
    };
    out = merge(out, layout);
    for (const key of Object.keys(out)) if (/^[xy]axis\d*$/.test(key)) out[key] = merge(axis, out[key]);
    return out;
  };

  const CONFIG = {
    displaylogo: false, responsive: false, displayModeBar: !coarse.matches, scrollZoom: false, showTips: false,
    modeBarButtons: [["zoom2d", "resetScale2d", "toImage"]], toImageButtonOptions: { format: "svg", filename: "pindown" },
  };

  const draw = (plot) => {
    const printing = root.classList.contains("printing");
    const width = !printing ? plot.clientWidth : plot.closest(".half") ? PRINT_HALF : PRINT_WIDTH;
    const spec = JSON.parse(document.getElementById(plot.dataset.spec).textContent);
    const layout = themed(spec.layout, width);
    Object.assign(layout, { width, height: parseInt(plot.style.height, 10), autosize: false });
    Plotly.react(plot, resolve(spec.data, ""), resolve(layout, ""), CONFIG);
    /* Screen readers get the summary and the table; of the drawing itself only the buttons. */
    for (const svg of plot.querySelectorAll(".main-svg")) svg.setAttribute("aria-hidden", "true");
    plot.dataset.drawn = width;
  };

  /* One chart at a time, so that the page answers while a long report draws. */
  let pass = 0;
  const drawAll = () => {
    const mine = ++pass;
    delete root.dataset.ready;
    const queue = [...plots];
    const next = () => {
      if (mine !== pass) return;
      const plot = queue.shift();
      if (!plot) { root.dataset.ready = "true"; return; }
      draw(plot);
      setTimeout(next);
    };
    next();
  };

  let waiting = 0;
  const resized = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => plots.some((p) => p.clientWidth !== Number(p.dataset.drawn)) && drawAll(), 120);
  };
  const methods = [...document.querySelectorAll("details.method, details.fold")];
  const printing = (on) => {
    if (on === root.classList.contains("printing")) return;
    for (const method of methods) {
      if (on) method.dataset.was = method.open ? "open" : "";
      method.open = on || method.dataset.was === "open";
    }
    root.classList.toggle("printing", on);
    if (!on) { drawAll(); return; }
    pass++; /* stop the pass that is under way: paper needs all charts at once */
    plots.forEach(draw);
  };

  dark.addEventListener("change", drawAll);
  addEventListener("resize", resized);
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  matchMedia("print").addEventListener("change", (event) => printing(event.matches));

  /* ---- tables -------------------------------------------------------------------------------------------- */

  const say = (text) => { live.textContent = ""; setTimeout(() => { live.textContent = text; }, 50); };
  const asNumber = (text) => (text === "inf" ? Infinity : text === "-inf" ? -Infinity : text === "" ? NaN : Number(text));

  const compare = (a, b) => {
    const [x, y] = [asNumber(a), asNumber(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x === y ? 0 : x < y ? -1 : 1;
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return a.localeCompare(b);
  };

  const sort = (button) => {
    const head = button.closest("th");
    const column = [...head.parentElement.children].indexOf(head);
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.children[column].dataset.key;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1; /* what was not measured stays last */
      return (up ? 1 : -1) * compare(x, y);
    });
    body.append(...rows);
    say(`Sorted by ${button.textContent}, ${up ? "ascending" : "descending"}`);
  };

  const quoted = (text) => (/[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);
  const csv = (table) => [...table.rows]
    .map((row) => [...row.children].flatMap((cell) => JSON.parse(cell.dataset.csv)).map(quoted).join(","))
    .join("\r\n") + "\r\n";

  const copy = async (button) => {
    const block = button.closest("[data-table]");
    const text = csv(block.querySelector("table"));
    const rows = block.querySelector("tbody").rows.length;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = `Copied ${rows} ${rows === 1 ? "row" : "rows"}`;
      say(button.textContent);
      setTimeout(() => { button.textContent = "Copy as CSV"; }, 2500);
    } catch (error) {
      /* The browser keeps the clipboard to itself: show the text to be copied by hand. */
      const area = block.querySelector("textarea") || document.createElement("textarea");
      Object.assign(area, { className: "csv", readOnly: true, value: text });
      area.setAttribute("aria-label", "CSV to copy");
      block.append(area);
      area.select();
      say(`The clipboard is not available (${error.name}). The text is selected below the table.`);
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && "sort" in button.dataset) sort(button);
    if (button && "copy" in button.dataset) copy(button);
  });

  drawAll();
})();
