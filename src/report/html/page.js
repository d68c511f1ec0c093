// Draws the charts of the page from the data in it. Texts come in as text, never as markup.
"use strict";
(function () {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const LIGHT = ["#2563b0", "#c2570c", "#2e7d32", "#c62828", "#7b3fa0", "#00838f", "#8d6e00", "#5f6b7a", "#ad1457"];
  const DARK = ["#6cb0ff", "#ff9f5a", "#6fcf7c", "#ff7b72", "#c79bf2", "#4dd0d8", "#e0c050", "#a3aebb", "#f48fb1"];
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
  // The tail is drawn up to one in so many.
  const TAIL = 1e-6;
  const ZOOM = 0.6, STEP = 0.25;
  const drawn = [];
  let theme = null; // what the reader chose, or null for what the system says
  let printing = false;

  const system = window.matchMedia("(prefers-color-scheme: dark)");
  function isDark() {
    if (printing) return false;
    return theme === null ? system.matches : theme === "dark";
  }
  function colours() {
    const dark = isDark();
    return dark
      ? { palette: DARK, text: "#e7edf4", soft: "#b0bccb", line: "#33404f", back: "#19212b", span: "rgba(255,123,114,.20)" }
      : { palette: LIGHT, text: "#1b2430", soft: "#4b5765", line: "#dde3e9", back: "#ffffff", span: "rgba(198,40,40,.13)" };
  }

  // Numbers with about four digits, thousands in groups.
  const wide = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  function short(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "-";
    if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e15)) return value.toExponential(2);
    if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
    return wide.format(value);
  }
  function tick(value) {
    const size = Math.abs(value);
    if (size >= 1e9) return wide.format(value / 1e9) + "G";
    if (size >= 1e6) return wide.format(value / 1e6) + "M";
    if (size >= 1e4) return wide.format(value / 1e3) + "k";
    return short(value);
  }
  function percent(value) {
    if (value === null || value === undefined) return "-";
    return wide.format(value * 100) + " %";
  }
  const names = (axis) => (typeof axis.scale === "object" ? axis.scale.names : null);
  const format = (axis) => (axis.scale === "share" ? percent : short);
  const element = (name, attributes, text) => {
    const made = document.createElement(name);
    for (const key in attributes || {}) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // A hint as an element, for the library takes strings for markup.
  function hint(title, rows) {
    const box = element("div", { style: "max-width:26rem;white-space:normal" });
    if (title) box.appendChild(element("div", { style: "font-weight:600" }, title));
    for (const row of rows) {
      const line = element("div", { style: "display:flex;gap:.6rem;justify-content:space-between" });
      const name = element("span");
      if (row[2]) name.appendChild(element("span", { style: "display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em;background:" + row[2] }));
      name.appendChild(document.createTextNode(row[0]));
      line.appendChild(name);
      line.appendChild(element("b", {}, row[1]));
      box.appendChild(line);
    }
    return box;
  }

  function axisOf(axis, where, look) {
    const found = names(axis);
    const base = {
      name: axis.label,
      nameLocation: "middle",
      nameTextStyle: { color: look.soft, fontFamily: FONT, fontSize: 12 },
      axisLabel: { color: look.soft, fontFamily: FONT, fontSize: 12, hideOverlap: true },
      axisLine: { show: true, lineStyle: { color: look.soft } },
      splitLine: { lineStyle: { color: look.line } },
      nameGap: where === "x" ? 28 : 50,
    };
    if (found) {
      base.type = "category";
      base.data = found;
      base.splitLine = { show: false };
      base.axisLabel.width = 130;
      base.axisLabel.overflow = "truncate";
      return base;
    }
    base.type = axis.scale === "log" ? "log" : "value";
    base.axisLabel.formatter = axis.scale === "share" ? (v) => percent(v) : (v) => tick(v);
    if (axis.scale === "share") base.min = 0;
    return base;
  }

  // ---- what each kind of chart is made of ---------------------------------------------------

  function lines(chart, state, look) {
    const tail = state.tail;
    const up = (y) => (y === null ? null : tail ? Math.max(1 - y, TAIL) : y);
    const kept = (point) => !tail || (point[1] !== null && point[1] < 1);
    const series = [];
    const y = axisOf(chart.y, "y", look);
    const x = axisOf(chart.x, "x", look);
    if (tail) {
      Object.assign(y, { type: "log", inverse: true, min: undefined, max: 1, name: "Share of requests above that" });
    } else if (chart.y.scale === "share" && chart.x.scale === "log") {
      y.max = 1;
    }
    if (chart.x.scale === "linear") {
      const last = chart.body.series.map((it) => it.points.length ? it.points[it.points.length - 1][0] : 0);
      x.min = 0;
      x.max = Math.max.apply(null, last);
      x.axisLabel.showMaxLabel = false;
    }
    for (const line of chart.body.series) {
      const colour = look.palette[line.colour];
      series.push({
        name: line.name, type: "line", showSymbol: false, sampling: line.points.length > 800 ? "lttb" : undefined,
        data: line.points.filter(kept).map((p) => [p[0], up(p[1])]),
        lineStyle: { color: colour, width: 2, type: line.dashed ? [6, 4] : "solid" },
        itemStyle: { color: colour }, connectNulls: false, emphasis: { focus: "series" }, animation: false,
        markLine: bounds(chart, line.name, look, colour),
      });
      if (line.whiskers.length) {
        series.push({
          name: line.name, type: "custom", animation: false, silent: true, clip: true, z: 4,
          data: line.whiskers.map((w) => [w[0], w[1], up(w[2])]),
          dimensions: ["low", "high", "share"], encode: { x: ["low", "high"], y: "share" },
          itemStyle: { color: colour },
          renderItem: (params, api) => whisker(api, colour),
        });
      }
    }
    series.push(spans(chart, look, x.max));
    const free = chart.bounds.filter((it) => it.with === null);
    if (free.length) series.push({ name: "", type: "line", data: [], markLine: markLine(free, look, look.soft) });
    return {
      xAxis: x, yAxis: y, series: series,
      tooltip: {
        trigger: "axis",
        axisPointer: { type: "line", lineStyle: { color: look.soft } },
        formatter: (found) => {
          const shown = found.filter((it) => it.seriesType === "line" && it.value && it.value[1] !== null);
          if (!shown.length) return "";
          const of = tail ? (v) => percent(1 - v) : format(chart.y);
          return hint(short(shown[0].value[0]) + " · " + chart.x.label, shown.map((it) => [it.seriesName, of(it.value[1]), it.color]));
        },
      },
      grid: { left: 66, right: 22, top: 26, bottom: 46 },
    };
  }

  function whisker(api, colour) {
    const from = api.coord([api.value(0), api.value(2)]);
    const to = api.coord([api.value(1), api.value(2)]);
    const style = { stroke: colour, lineWidth: 1.6, fill: "none" };
    const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1: x1, y1: y1, x2: x2, y2: y2 }, style: style });
    return {
      type: "group",
      children: [
        line(from[0], from[1], to[0], to[1]),
        line(from[0], from[1] - 5, from[0], from[1] + 5),
        line(to[0], to[1] - 5, to[0], to[1] + 5),
      ],
    };
  }

  function markLine(bounds, look, colour) {
    return {
      symbol: "none", silent: true, animation: false,
      lineStyle: { color: colour, type: [2, 3], width: 1.4 },
      label: { formatter: (it) => it.name, color: look.text, fontFamily: FONT, fontSize: 11, position: "insideEndTop", distance: 4 },
      data: bounds.map((it) => ({ name: it.what, xAxis: it.at })),
    };
  }
  function bounds(chart, name, look, colour) {
    const found = chart.bounds.filter((it) => it.with === name);
    return found.length ? markLine(found, look, colour) : undefined;
  }

  function spans(chart, look, end) {
    const areas = chart.spans.map((span, index) => [
      { name: String(index + 1), xAxis: span.from },
      { xAxis: span.to === null ? end : Math.max(span.to, span.from + (end || 0) / 400) },
    ]);
    return {
      name: chart.spans_are, type: "line", data: [], itemStyle: { color: look.palette[3] },
      markArea: {
        silent: true, animation: false, itemStyle: { color: look.span },
        label: { color: look.text, fontFamily: FONT, fontSize: 11, position: "top", distance: 3 },
        data: areas,
      },
    };
  }

  function bars(chart, state, look) {
    const rows = names(chart.y);
    const value = axisOf(chart.x, "x", look);
    const category = axisOf(chart.y, "y", look);
    category.inverse = true;
    category.name = "";
    category.axisLabel.color = look.text;
    category.axisTick = { show: false };
    const stacked = chart.body.stacked;
    const shown = format(chart.x);
    // A label has room in a bar that takes a share of the longest row.
    const totals = rows.map((_, row) => chart.body.series.reduce((sum, it) => sum + (it.values[row] || 0), 0));
    const most = Math.max.apply(null, totals.concat([0]));
    const series = [];
    chart.body.series.forEach((bar, index) => {
      const colour = look.palette[bar.colour];
      series.push({
        name: bar.name, type: "bar", stack: stacked ? "all" : undefined, animation: false,
        data: bar.values, itemStyle: { color: colour, borderColor: look.back, borderWidth: stacked ? 1 : 0 },
        barMaxWidth: 30, emphasis: { focus: "series" },
        label: {
          show: true, fontFamily: FONT, fontSize: 11,
          position: stacked ? "inside" : "right",
          color: stacked ? (isDark() ? "#10151c" : "#ffffff") : look.text,
          formatter: (it) => {
            if (it.value === null || it.value === undefined) return "";
            if (stacked && it.value < most * 0.07) return "";
            return shown(it.value);
          },
        },
      });
      if (bar.intervals.some((it) => it)) {
        const several = chart.body.series.length;
        series.push({
          name: bar.name, type: "custom", animation: false, silent: true, z: 5, itemStyle: { color: colour },
          dimensions: ["row", "low", "high"], encode: { x: ["low", "high"], y: "row" },
          data: bar.intervals.map((it, row) => (it ? [row, it[0], it[1]] : null)).filter((it) => it),
          renderItem: (params, api) => {
            const from = api.coord([api.value(1), api.value(0)]);
            const to = api.coord([api.value(2), api.value(0)]);
            const band = Math.min(api.size([0, 1])[1] * 0.8 / several, 39);
            const off = (index - (several - 1) / 2) * band;
            const style = { stroke: look.text, lineWidth: 1.4, fill: "none" };
            const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1: x1, y1: y1, x2: x2, y2: y2 }, style: style });
            return { type: "group", children: [
              line(from[0], from[1] + off, to[0], to[1] + off),
              line(from[0], from[1] + off - 4, from[0], from[1] + off + 4),
              line(to[0], to[1] + off - 4, to[0], to[1] + off + 4),
            ] };
          },
        });
        series[series.length - 2].label.show = false;
      }
    });
    const longest = Math.max.apply(null, rows.map((it) => it.length).concat([4]));
    return {
      xAxis: value, yAxis: category, series: series,
      tooltip: {
        trigger: "axis", axisPointer: { type: "shadow" },
        formatter: (found) => {
          const some = found.filter((it) => it.seriesType === "bar" && it.value !== null && it.value !== undefined);
          const list = some.map((it) => [it.seriesName, shown(it.value), it.color]);
          if (stacked && some.length > 1) list.push(["in all", shown(some.reduce((sum, it) => sum + it.value, 0)), null]);
          return some.length ? hint(some[0].name, list) : "";
        },
      },
      grid: { left: Math.min(150, 22 + longest * 7.2), right: stacked ? 24 : 64, top: 12, bottom: 46 },
    };
  }

  function heat(chart, it, look) {
    const cells = chart.body.cells;
    // Values that are far apart are told apart by their logarithm.
    const log = chart.body.log;
    const shade = (v) => (log ? Math.log10(v) : v);
    const values = cells.map((it) => shade(it[2]));
    const least = values.reduce((a, b) => Math.min(a, b)), most = values.reduce((a, b) => Math.max(a, b));
    const roomy = (it.plot.clientWidth - 176) / names(chart.x).length > 46;
    const rows = names(chart.y).length;
    const x = axisOf(chart.x, "x", look), y = axisOf(chart.y, "y", look);
    y.nameGap = 62;
    return {
      xAxis: x, yAxis: y,
      series: [{
        name: chart.body.value, type: "heatmap", data: cells.map((it) => it.concat(shade(it[2]))), animation: false,
        itemStyle: { borderColor: look.back, borderWidth: 1 },
        label: { show: roomy && rows <= 16, fontFamily: FONT, fontSize: 11, formatter: (it) => tick(it.value[2]) },
        emphasis: { itemStyle: { borderColor: look.text, borderWidth: 2 } },
      }],
      visualMap: {
        dimension: 3, min: least, max: most > least ? most : least + 1, calculable: true, orient: "vertical", right: 4, top: "middle", itemHeight: 150, precision: 3,
        textStyle: { color: look.soft, fontFamily: FONT }, formatter: (v) => tick(log ? Math.pow(10, v) : v), itemWidth: 14,
        // Even steps of lightness, told apart without colour too; figures in the cells stay readable.
        inRange: { color: ["#f2f0f7", "#c9d3ea", "#8fb7d9", "#4f9bc1", "#2a7f8f"] },
      },
      tooltip: {
        trigger: "item",
        formatter: (it) => hint(chart.body.value + " " + short(it.value[2]), [
          [chart.x.label, names(chart.x)[it.value[0]]], [chart.y.label, names(chart.y)[it.value[1]]],
        ]),
      },
      grid: { left: 84, right: 92, top: 12, bottom: 46 },
    };
  }

  function points(chart, state, look) {
    const shapes = ["circle", "triangle", "diamond", "rect"];
    const x = axisOf(chart.x, "x", look), y = axisOf(chart.y, "y", look);
    x.scale = y.scale = true;
    return {
      xAxis: x, yAxis: y,
      series: chart.body.series.map((cloud, index) => ({
        name: cloud.name, type: cloud.joined ? "line" : "scatter", animation: false,
        data: cloud.points.map((p) => [p[0], p[1], p[2]]), symbol: shapes[index % shapes.length],
        symbolSize: cloud.points.length > 500 ? 5 : 9, showSymbol: true, step: cloud.joined ? "end" : undefined,
        lineStyle: { color: look.palette[cloud.colour], width: 1.5 },
        itemStyle: { color: look.palette[cloud.colour], opacity: cloud.points.length > 500 ? 0.6 : 0.9 },
        emphasis: { focus: "none" }, z: 2 + index,
      })),
      tooltip: {
        trigger: "item",
        formatter: (it) => hint(it.value[2], [[chart.x.label, format(chart.x)(it.value[0])], [chart.y.label, format(chart.y)(it.value[1])]]),
      },
      grid: { left: 70, right: 24, top: 14, bottom: 46 },
    };
  }

  const KINDS = { lines: lines, bars: bars, heat: heat, points: points };

  function option(it) {
    const look = colours();
    const made = KINDS[it.chart.body.kind](it.chart, it, look);
    const selected = {};
    for (const name in it.shown) selected[name] = it.shown[name];
    made.legend = { show: false, selected: selected };
    made.textStyle = { fontFamily: FONT, color: look.text };
    made.backgroundColor = "transparent";
    made.animation = false;
    Object.assign(made.tooltip, {
      confine: true, backgroundColor: look.back, borderColor: look.line, transitionDuration: 0,
      textStyle: { color: look.text, fontFamily: FONT, fontSize: 12 },
    });
    if (it.zooms) {
      made.dataZoom = [{
        id: "x", type: "inside", xAxisIndex: 0, filterMode: it.chart.body.kind === "lines" ? "none" : "filter",
        zoomOnMouseWheel: "ctrl", moveOnMouseWheel: "shift", moveOnMouseMove: false,
        start: it.range[0], end: it.range[1],
      }];
      made.toolbox = { show: true, itemSize: 0, showTitle: false, right: -99, feature: { dataZoom: { yAxisIndex: false, brushStyle: { color: "rgba(108,176,255,.25)" } } } };
    }
    return made;
  }

  // ---- the page's own controls: all of them buttons, so that keys work -----------------------

  function keys(it) {
    const box = it.figure.querySelector(".keys");
    const all = it.chart.body.kind === "heat" ? [] : it.chart.body.series.map((one) => one);
    if (it.chart.spans.length) all.push({ name: it.chart.spans_are, colour: 3, span: true });
    for (const one of all) {
      it.shown[one.name] = !one.hidden;
      if (all.length < 2) continue;
      const key = element("button", { type: "button", class: "key", "aria-pressed": String(it.shown[one.name]) });
      const kind = one.span || it.chart.body.kind === "bars" ? " block" : it.chart.body.kind === "points" ? " dot" : one.dashed ? " dashed" : "";
      const swatch = element("span", { class: "swatch" + kind, "aria-hidden": "true" });
      swatch.dataset.colour = one.colour;
      key.appendChild(swatch);
      key.appendChild(document.createTextNode(one.name));
      key.addEventListener("click", () => {
        it.shown[one.name] = !it.shown[one.name];
        key.setAttribute("aria-pressed", String(it.shown[one.name]));
        it.view.dispatchAction({ type: it.shown[one.name] ? "legendSelect" : "legendUnSelect", name: one.name });
      });
      box.appendChild(key);
    }
    if (!box.children.length) box.remove();
  }

  function paintKeys(it) {
    const look = colours();
    it.figure.querySelectorAll(".swatch").forEach((swatch) => {
      swatch.style.color = look.palette[Number(swatch.dataset.colour)];
      swatch.style.opacity = "";
    });
  }

  function button(box, text, what, act) {
    const made = element("button", { type: "button", "aria-label": what, title: what }, text);
    made.addEventListener("click", act);
    box.appendChild(made);
    return made;
  }

  function together(it) {
    return it.chart.group ? drawn.filter((other) => other.chart.group === it.chart.group) : [it];
  }
  function range(it, from, to) {
    const width = Math.min(100, Math.max(0.5, to - from));
    const start = Math.min(Math.max(0, from), 100 - width);
    for (const other of together(it)) {
      other.range = [start, start + width];
      other.view.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, start: start, end: start + width });
    }
  }

  function tools(it) {
    const box = it.figure.querySelector(".tools");
    const title = it.chart.title;
    if (it.zooms) {
      const middle = () => (it.range[0] + it.range[1]) / 2;
      const half = () => (it.range[1] - it.range[0]) / 2;
      button(box, "+", "Zoom in: " + title, () => range(it, middle() - half() * ZOOM, middle() + half() * ZOOM));
      button(box, "−", "Zoom out: " + title, () => range(it, middle() - half() / ZOOM, middle() + half() / ZOOM));
      button(box, "←", "Move left: " + title, () => range(it, it.range[0] - half() * STEP, it.range[1] - half() * STEP));
      button(box, "→", "Move right: " + title, () => range(it, it.range[0] + half() * STEP, it.range[1] + half() * STEP));
      button(box, "All", "Show all: " + title, () => range(it, 0, 100));
    }
    if (it.chart.body.kind === "lines" && it.chart.y.scale === "share" && it.chart.x.scale === "log") {
      const tail = button(box, "Tail", "Show the tail on a logarithmic axis: " + title, () => {
        it.tail = !it.tail;
        tail.setAttribute("aria-pressed", String(it.tail));
        draw(it);
      });
      tail.setAttribute("aria-pressed", "false");
    }
    button(box, "SVG", "Save as SVG: " + title, () => save(it, "svg"));
    button(box, "PNG", "Save as PNG: " + title, () => save(it, "png"));
  }

  function save(it, kind) {
    const svg = it.plot.querySelector("svg").cloneNode(true);
    const width = it.plot.clientWidth, height = it.plot.clientHeight;
    svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    back.setAttribute("width", width);
    back.setAttribute("height", height);
    back.setAttribute("fill", isDark() ? "#10151c" : "#ffffff");
    svg.insertBefore(back, svg.firstChild);
    const text = new XMLSerializer().serializeToString(svg);
    const give = (blob) => {
      const link = element("a", { href: URL.createObjectURL(blob), download: it.chart.id + "." + kind });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    };
    if (kind === "svg") return give(new Blob([text], { type: "image/svg+xml" }));
    const image = new Image();
    image.onload = () => {
      const canvas = element("canvas", { width: width * 2, height: height * 2 });
      canvas.getContext("2d").drawImage(image, 0, 0, width * 2, height * 2);
      canvas.toBlob(give, "image/png");
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  }

  // ---- the data behind a chart, as a table, made when somebody wants to see it -----------------

  function rowsOf(chart) {
    const body = chart.body;
    if (body.kind === "lines") {
      const head = [chart.x.label].concat(body.series.map((it) => it.name));
      const places = new Map();
      body.series.forEach((line, at) => line.points.forEach((p) => {
        if (!places.has(p[0])) places.set(p[0], new Array(body.series.length).fill(null));
        places.get(p[0])[at] = p[1];
      }));
      const sorted = Array.from(places.keys()).sort((a, b) => a - b);
      const of = format(chart.y);
      return [head, sorted.map((x) => [short(x)].concat(places.get(x).map((y) => (y === null ? "" : of(y)))))];
    }
    if (body.kind === "bars") {
      const of = format(chart.x);
      const head = [chart.y.label || "Row"].concat(body.series.map((it) => it.name));
      return [head, names(chart.y).map((name, row) => [name].concat(body.series.map((it) => {
        const value = it.values[row], ends = it.intervals[row];
        if (value === null) return "";
        return of(value) + (ends ? " [" + of(ends[0]) + ", " + of(ends[1]) + "]" : "");
      })))];
    }
    if (body.kind === "heat") {
      return [[chart.x.label, chart.y.label, body.value], body.cells.map((it) => [names(chart.x)[it[0]], names(chart.y)[it[1]], short(it[2])])];
    }
    const list = [];
    body.series.forEach((cloud) => cloud.points.forEach((p) => list.push([cloud.name, short(p[0]), short(p[1]), p[2]])));
    return [["Kind", chart.x.label, chart.y.label, "What"], list];
  }

  function fill(it) {
    const box = it.figure.querySelector(".data > div");
    if (box.children.length) return;
    const found = rowsOf(it.chart);
    const table = element("table");
    const head = table.appendChild(element("thead")).appendChild(element("tr"));
    found[0].forEach((name) => head.appendChild(element("th", { scope: "col" }, name)));
    const body = table.appendChild(element("tbody"));
    for (const cells of found[1]) {
      const row = body.appendChild(element("tr"));
      cells.forEach((cell, at) => row.appendChild(at ? element("td", {}, cell) : element("th", { scope: "row" }, cell)));
    }
    box.appendChild(table);
  }

  // ---- all together ---------------------------------------------------------------------------

  function draw(it) {
    it.view.setOption(option(it), { notMerge: true });
    if (it.zooms) it.view.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: true });
    paintKeys(it);
  }
  function redraw() {
    drawn.forEach((it) => { it.view.resize(); draw(it); });
    const dark = document.getElementById("theme");
    dark.textContent = isDark() ? "Light" : "Dark";
  }

  for (const chart of charts) {
    const figure = document.querySelector('figure[data-chart="' + chart.id + '"]');
    const plot = figure.querySelector(".plot");
    const named = chart.body.kind === "bars" ? names(chart.y).length : 0;
    const each = named && !chart.body.stacked ? chart.body.series.length : 1;
    const height = named ? Math.min(900, 80 + named * Math.max(44, 14 + 26 * each)) + "px" : "";
    plot.style.height = height;
    const it = {
      chart: chart, height: height, figure: figure, plot: plot, shown: {}, range: [0, 100], tail: false,
      zooms: chart.body.kind === "lines" || chart.body.kind === "points",
    };
    keys(it);
    it.view = echarts.init(plot, null, { renderer: "svg" });
    it.view.on("datazoom", (event) => {
      const found = event.batch ? event.batch[0] : event;
      if (event.from === "page" || !found) return;
      const now = it.view.getOption().dataZoom[0];
      const next = [now.start, now.end];
      if (Math.abs(next[0] - it.range[0]) + Math.abs(next[1] - it.range[1]) < 1e-6) return;
      it.range = next;
      for (const other of together(it)) if (other !== it) { other.range = next; other.view.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, start: next[0], end: next[1] }); }
    });
    tools(it);
    drawn.push(it);
    draw(it);
    figure.querySelector(".data").addEventListener("toggle", () => fill(it));
  }
  // One cursor over the charts of a group.
  new Set(charts.map((it) => it.group).filter((it) => it)).forEach((group) => {
    drawn.filter((it) => it.chart.group === group).forEach((it) => { it.view.group = group; });
  });

  document.getElementById("theme").addEventListener("click", () => {
    theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    redraw();
  });
  document.getElementById("print").addEventListener("click", () => window.print());
  system.addEventListener("change", redraw);
  function forPaper(now) {
    if (printing === now) return;
    printing = now;
    // What is on paper is laid out after this: the size must be said.
    for (const it of drawn) {
      it.plot.style.width = now ? "660px" : "";
      it.plot.style.height = it.height || (now ? "270px" : "");
    }
    redraw();
  }
  window.addEventListener("beforeprint", () => forPaper(true));
  window.addEventListener("afterprint", () => forPaper(false));
  window.matchMedia("print").addEventListener("change", (event) => forPaper(event.matches));
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => drawn.forEach((it) => it.view.resize()), 100);
  });
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  document.documentElement.dataset.ready = "true";
})();
