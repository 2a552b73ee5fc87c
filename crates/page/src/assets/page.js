"use strict";
// What acts shows a secret that no cookie carries. It was given once, at the start, and is kept where only
// pages of this origin, its port included, can read it.
const SECRET = "webhook-queue-act";
const given = document.querySelector("meta[name=act-secret]");
if (given) {
  localStorage.setItem(SECRET, given.content);
  location.replace("/");
}
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-Act"] = localStorage.getItem(SECRET) ?? "";
});

// Times are the browser's, and the queue's on hover.
const zoned = new Intl.DateTimeFormat(document.documentElement.lang, {
  dateStyle: "short", timeStyle: "medium",
});
const showTimes = (where) => {
  for (const time of where.querySelectorAll("time:not([title])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.textContent;
      time.textContent = zoned.format(at);
    }
  }
};
showTimes(document);
// At once: what is shown anew must not show its times in two ways.
document.addEventListener("htmx:afterSwap", () => showTimes(document));

// Who types or chooses is not disturbed.
const isBusy = () => document.activeElement?.matches("input, textarea, select")
  || !getSelection().isCollapsed
  || [...document.querySelectorAll("main input:not([type=hidden])")]
    .some((input) => input.value !== input.defaultValue);
if (document.querySelector("main[data-live]")) {
  let refreshing = false;
  const news = new EventSource("/news");
  news.addEventListener("news", async () => {
    const main = document.querySelector("main[data-live]");
    if (!main || refreshing || isBusy()) return;
    refreshing = true;
    try {
      await htmx.ajax("GET", location.pathname + location.search, {
        source: main, target: main, select: "main", swap: "outerHTML",
      });
    } finally {
      refreshing = false;
    }
  });
}

// Charts. Colours are the page's, and change with its scheme; a minute that is not known is a gap.
const colours = ["--link", "--good", "--bad", "--unsure"];
const dashes = [[], [], [6, 3], [2, 3]];
const span = (ms) => ms < 1000 ? `${ms} ms` : ms < 60000 ? `${+(ms / 1000).toFixed(1)} s`
  : ms < 3600000 ? `${+(ms / 60000).toFixed(1)} min` : `${+(ms / 3600000).toFixed(1)} h`;
const clock = new Intl.DateTimeFormat(document.documentElement.lang, {
  hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const at = (seconds) => clock.format(new Date(seconds * 1000));
// Where ages are marked: from a millisecond to three days.
const steps = [1, 10, 100, 1000, 10000, 60000, 600000, 3600000, 36000000, 259200000];
const plots = new Map();
const columns = (chart) => {
  const series = JSON.parse(chart.dataset.series);
  const from = Date.parse(chart.dataset.from) / 1000;
  return [series[0].map((_, minute) => from + minute * 60), ...series];
};
const draw = (chart) => {
  plots.get(chart)?.destroy();
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  const ages = chart.dataset.kind === "ages";
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const shown = (value) => value == null ? "–" : ages ? span(value) : String(value);
  plots.set(chart, new uPlot({
    width: chart.clientWidth, height: 180,
    series: [{ label: chart.dataset.time, value: (_, seconds) => seconds == null ? "–" : at(seconds) },
      ...JSON.parse(chart.dataset.names).map((label, place) => ({
        label, stroke: colour(colours[ages ? place * 3 : place]), width: 1.5,
        dash: dashes[ages ? place * 2 : place], value: (_, value) => shown(value),
      }))],
    axes: [{ ...axis, values: (_, splits) => splits.map(at) },
      { ...axis, size: 64, ...(ages ? { splits: (plot) => steps.filter((ms) => plot.scales.y.min <= ms && ms <= plot.scales.y.max), filter: (_, splits) => splits } : {}), values: (_, splits) => splits.map((value) => value == null ? "" : ages ? span(value) : Number.isInteger(value) ? value : "") }],
    scales: { y: ages ? { distr: 3, range: (_, low, high) => uPlot.rangeLog(Math.max(low ?? 1, 1), Math.max(high ?? 1000, 10), 10, true) }
      : { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.1] } },
  }, columns(chart), chart));
};
const charts = () => [...document.querySelectorAll(".chart[data-from]")];
if (window.uPlot && charts().length) {
  charts().forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts().forEach(draw));
  addEventListener("resize", () => charts().forEach((chart) =>
    plots.get(chart)?.setSize({ width: chart.clientWidth, height: 180 })));
  setInterval(async () => {
    const section = document.querySelector("#history");
    if (document.hidden || !section) return;
    const answer = await fetch(`/history?back=${section.dataset.back}`).catch(() => null);
    if (!answer?.ok) return;
    const news = new DOMParser().parseFromString(await answer.text(), "text/html");
    const newer = [...news.querySelectorAll(".chart[data-from]")];
    charts().forEach((chart, place) => {
      if (!newer[place]) return;
      Object.assign(chart.dataset, { from: newer[place].dataset.from, series: newer[place].dataset.series });
      plots.get(chart)?.setData(columns(chart));
    });
    const [numbers, newerNumbers] = [section, news].map((it) => it.querySelector(".numbers"));
    if (numbers && newerNumbers) {
      numbers.replaceChildren(...newerNumbers.childNodes);
      showTimes(numbers);
    }
  }, 10000);
}
