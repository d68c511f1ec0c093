// Opens each page given in a headless browser: nothing on the console, nothing fetched, marks in every
// chart, toggles, zoom and the tail do something, keys suffice, no serious fault of accessibility, in
// light and dark, on a screen, a phone and on paper. Screenshots are kept. Prints one JSON document.
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8") + "; true";
const [executablePath, shots, ...pages] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "seatrial-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: 1400, height: 900 },
  offline: true,
  bypassCSP: false,
  acceptDownloads: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
  ],
});
const found = [];
try {
  for (const path of pages) found.push(await look(path));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(found, null, 1));

async function look(path) {
  const name = basename(path).replace(/\.html$/, "");
  const page = await context.newPage();
  const told = { page: name, console: [], requests: [], charts: [], axe: [], toggles: 0, notes: [] };
  page.on("console", (it) => { if (["error", "warning"].includes(it.type())) told.console.push(it.text()); });
  page.on("pageerror", (it) => told.console.push(String(it)));
  const address = pathToFileURL(resolve(path)).href;
  page.on("request", (it) => {
    const url = it.url();
    if (url !== address && !url.startsWith("data:") && !url.startsWith("blob:")) told.requests.push(url);
  });
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(address);
  await page.waitForSelector("html[data-ready=true]");

  // Marks: what is drawn with an ink, beside texts; axes alone would be a handful.
  told.charts = await page.$$eval("figure.chart", (figures) => figures.map((figure) => {
    const svg = figure.querySelector(".plot svg");
    const inked = (it) => {
      const style = getComputedStyle(it);
      return (style.stroke !== "none" || style.fill !== "none") && it.getTotalLength && it.getTotalLength() > 0;
    };
    const shapes = svg ? Array.from(svg.querySelectorAll("path")).filter(inked) : [];
    return { id: figure.dataset.chart, marks: shapes.length, texts: svg ? svg.querySelectorAll("text").length : 0 };
  }));

  // Every toggle takes something away and brings it back.
  for (const figure of await page.$$("figure.chart")) {
    const plot = await figure.$(".plot");
    // What is drawn, but for running numbers, once it is: the library draws with the next frame.
    const drawn = async () => {
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      return (await plot.innerHTML()).replace(/zr\d+-[a-z]+-?\d+/g, "");
    };
    // Order and rounding may be others once something was away: as many marks and texts are there again.
    const amount = async () => {
      await drawn();
      return plot.evaluate((it) => ["path", "text", "polyline"].map((kind) => it.querySelectorAll(kind).length).join());
    };
    for (const key of await figure.$$("button.key")) {
      const state = () => key.getAttribute("aria-pressed");
      const [before, many, was] = [await drawn(), await amount(), await state()];
      await key.focus();
      await page.keyboard.press("Enter");
      const [after, is] = [await drawn(), await state()];
      if (was === is) told.notes.push("a key says the same: " + (await key.textContent()));
      if (before === after) told.notes.push("a key does nothing: " + (await key.textContent()));
      await page.keyboard.press("Enter");
      if ((await amount()) !== many) told.notes.push("a key does not bring back: " + (await key.textContent()));
      told.toggles += 1;
    }
    // Zoom, and the tail where there is one.
    for (const what of ["Zoom in", "Show the tail"]) {
      const button = await figure.$(`.tools button[aria-label^="${what}"]`);
      if (!button) continue;
      const [before, many] = [await drawn(), await amount()];
      await button.click();
      if ((await drawn()) === before) told.notes.push(what + " does nothing: " + (await figure.getAttribute("id")));
      const back = what === "Zoom in" ? await figure.$('.tools button[aria-label^="Show all"]') : button;
      await back.click();
      if ((await amount()) !== many) told.notes.push(what + " has no way back: " + (await figure.getAttribute("id")));
    }
    await (await figure.$("details.data summary")).click();
    // The table is made once the browser says that it is to be seen.
    await figure.waitForSelector("details.data tbody tr", { state: "attached", timeout: 5000 }).catch(() => null);
    const rows = await figure.$$eval("details.data tbody tr", (it) => it.length);
    if (!rows) told.notes.push("no data behind " + (await figure.getAttribute("id")));
    await (await figure.$("details.data summary")).click();
  }
  told.hint = await hover(page);
  await page.evaluate(() => window.scrollTo(0, 0));

  await shoot(page, name, "light");
  await faults(page, told, "light");
  const first = await page.$("button[aria-label^='Save as PNG']");
  if (first) {
    const wait = page.waitForEvent("download", { timeout: 5000 });
    await first.click();
    await (await wait).saveAs(join(shots, name + "-saved.png"));
  }
  await page.click("#theme");
  await shoot(page, name, "dark");
  await faults(page, told, "dark");
  await page.click("#theme");
  told.wide = {};
  for (const [kind, width] of [["phone", 390], ["tablet", 820]]) {
    await page.setViewportSize({ width, height: 800 });
    await page.waitForTimeout(250);
    told.wide[kind] = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (kind === "phone") await shoot(page, name, kind);
  }
  await page.setViewportSize({ width: 1400, height: 900 });
  writeFileSync(join(shots, name + ".pdf"), await page.pdf({ format: "A4", printBackground: true }));
  await page.close();
  return told;
}

// What is told where the pointer rests in the middle of the first chart.
async function hover(page) {
  const plot = await page.$("figure.chart .plot");
  if (!plot) return "";
  await plot.scrollIntoViewIfNeeded();
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.45);
  await page.waitForTimeout(150);
  await page.mouse.move(box.x + box.width * 0.52, box.y + box.height * 0.45);
  await page.waitForTimeout(150);
  const text = await plot.evaluate((it) => Array.from(it.querySelectorAll(":scope > div")).map((box) => box.textContent).join(" "));
  await page.mouse.move(0, 0);
  return text;
}

async function shoot(page, name, kind) {
  await page.waitForTimeout(150);
  await page.screenshot({ path: join(shots, `${name}-${kind}.png`), fullPage: true });
}

async function faults(page, told, kind) {
  // The page's own policy keeps scripts out: the checker comes in by the debugger instead.
  await page.evaluate(axe);
  const results = await page.evaluate(() => (window.axe ? window.axe.run() : null));
  if (!results) { told.notes.push("axe-core did not run"); return; }
  for (const it of results.violations) {
    told.axe.push({ kind, id: it.id, impact: it.impact, help: it.help, nodes: it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)) });
  }
}
