// What a browser can do better than a page alone: times and amounts in the reader's way, live parts, copying. Every page works without.
"use strict";

for (const time of document.querySelectorAll("time")) localize(time);
for (const amount of document.querySelectorAll("data.amount")) localizeAmount(amount);
for (const day of document.querySelectorAll("[data-day]")) day.textContent = dayOf(day.dataset.day);
for (const zone of document.querySelectorAll("[data-zone]")) sayZone(zone);
for (const live of document.querySelectorAll("[data-live]")) follow(live);
for (const button of document.querySelectorAll("button[data-copy]")) offerCopy(button);
for (const form of document.querySelectorAll("form[data-keep]")) keep(form);
document.querySelector(".summary[autofocus]")?.focus();

// A day of UTC stays that day. Any other time becomes the reader's own, and says what it is in UTC when it is pointed at.
function localize(time) {
  if (time.classList.contains("day")) {
    time.textContent = dayOf(time.dateTime);
    return;
  }
  const timeStyle = time.classList.contains("second") ? "medium" : "short";
  time.title = time.dateTime.replace("T", " ").replace("Z", " UTC");
  time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle });
}

function dayOf(day) {
  return new Date(day).toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });
}

function sayZone(zone) {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  if (timeZone !== "UTC") zone.textContent = zone.dataset.zone.replace("{zone}", timeZone);
}

function localizeAmount(amount) {
  const style = { style: "currency", currency: amount.dataset.currency };
  amount.textContent = Number(amount.value).toLocaleString(undefined, style);
}

// Asks for a part again and again while the page is seen, until the server says that it is over. A person can pause it.
function follow(live) {
  const pause = document.createElement("button");
  pause.type = "button";
  pause.className = "quiet";
  pause.textContent = live.dataset.pause;
  let paused = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? live.dataset.resume : live.dataset.pause;
  });
  live.after(pause);
  const ask = async () => {
    if (!paused && !document.hidden) {
      live.setAttribute("aria-busy", "true");
      try {
        const answer = await fetch(live.dataset.live, { redirect: "error" });
        if (answer.ok) replace(live, await answer.text());
        if (!answer.ok || answer.headers.get("x-live") === "over") {
          pause.remove();
          live.removeAttribute("aria-busy");
          if (answer.ok && live.dataset.then) location.assign(live.dataset.then);
          return;
        }
      } catch {
        // The server is restarting, or the network is gone for a moment.
      }
      live.removeAttribute("aria-busy");
    }
    setTimeout(ask, Number(live.dataset.every));
  };
  setTimeout(ask, Number(live.dataset.every));
}

// Puts what the server says into the page. A parser of its own makes it, which runs no script of it.
function replace(live, html) {
  const parsed = new DOMParser().parseFromString(trusted(html), "text/html");
  live.replaceChildren(...parsed.body.childNodes);
  for (const time of live.querySelectorAll("time")) localize(time);
  for (const amount of live.querySelectorAll("data.amount")) localizeAmount(amount);
}

function trusted(html) {
  if (!window.trustedTypes) return html;
  window.livePolicy ??= trustedTypes.createPolicy("live", { createHTML: (html) => html });
  return window.livePolicy.createHTML(html);
}

// Copies a text that stands in the page.
function offerCopy(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });
}

// Keeps what is sent in the tab's own history, for the way back from a confirmation: for the session that sent it, and for no other.
function keep(form) {
  const session = form.dataset.keep;
  const kept = history.state;
  if (kept?.session === session) {
    for (const [name, value] of kept.typed) {
      const field = form.elements.namedItem(name);
      if (field) field.value = value;
    }
  } else if (kept) {
    history.replaceState(null, "");
  }
  form.addEventListener("submit", () => history.replaceState({ session, typed: [...new FormData(form)] }, ""));
}
