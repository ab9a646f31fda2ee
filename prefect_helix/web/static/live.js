// Keeps the page of a running flow up to date without loading all of it. Without scripts the page reloads itself.
"use strict";

const PAUSE_MS = 2000;
const HELD = "a, summary, button, [tabindex]";
const main = document.querySelector("main[data-live]");
let shown = main?.innerHTML;

// What an element is called that can have the focus: the new page has one of that name, if it is still there.
const nameOf = (one) => {
  const own = one.id || one.getAttribute("href") || one.getAttribute("aria-label");
  return [one.tagName, own, one.parentElement.closest("[id]").id].join(" ");
};

const alike = (name) => [...main.querySelectorAll(HELD)].filter((one) => nameOf(one) === name);

// Somebody fills in a form, or has marked what is to be copied.
function inUse() {
  const marked = document.getSelection();
  const typed = main.contains(document.activeElement) && document.activeElement.matches("input, select");
  return typed || (!marked.isCollapsed && marked.getRangeAt(0).intersectsNode(main));
}

function replace(children) {
  const opened = new Set([...main.querySelectorAll("details[open]")].map((one) => one.id));
  const scrolled = new Map([...main.querySelectorAll(".wide[id]")].map((box) => [box.id, box.scrollLeft]));
  const held = document.activeElement;
  const name = held !== main && main.contains(held) && nameOf(held);
  const place = name && alike(name).indexOf(held);
  main.replaceChildren(...children);
  for (const one of main.querySelectorAll("details")) if (opened.has(one.id)) one.open = true;
  for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
  if (name) (alike(name)[place] ?? main).focus({ preventScroll: true });
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return true;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const goesOn = fresh.hasAttribute("data-live");
  const said = fresh.innerHTML;
  if (said === shown) return goesOn; // what is there stays, so that nothing is read out again
  if (inUse()) return true;
  shown = said;
  replace(fresh.childNodes);
  return goesOn;
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
