// Keeps the page of a running flow up to date without loading all of it. Without scripts the page reloads itself.
"use strict";

const PAUSE_MS = 2000;
const main = document.querySelector("main[data-live]");

async function refresh() {
  const opened = new Set([...main.querySelectorAll("details[open]")].map((one) => one.id));
  const scrolled = new Map([...main.querySelectorAll(".wide[id]")].map((box) => [box.id, box.scrollLeft]));
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return true;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const held = document.activeElement;
  if (held && main.contains(held) && held.matches("input, select")) return true;
  main.replaceChildren(...fresh.childNodes);
  for (const one of main.querySelectorAll("details")) if (opened.has(one.id)) one.open = true;
  for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
  return fresh.hasAttribute("data-live");
}

async function follow() {
  let goesOn = true;
  try {
    if (!document.hidden) goesOn = await refresh();
  } catch {
    // The server may only be gone for a moment; the page keeps what it shows.
  }
  if (goesOn) setTimeout(follow, PAUSE_MS);
}

if (main) setTimeout(follow, PAUSE_MS);
