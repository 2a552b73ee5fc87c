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
document.addEventListener("htmx:load", (event) => showTimes(event.detail.elt));

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
