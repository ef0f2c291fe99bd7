// Refreshes the page's content every few seconds. Without this script the page reloads itself. It
// pauses while the page is hidden, while a part of it is selected or focused, and on request.
"use strict";
(() => {
  const EVERY_MS = 5000;
  const main = document.getElementById("main");
  let paused = false;

  const says = document.createElement("p");
  says.className = "unseen";
  says.setAttribute("role", "status");
  document.body.append(says);

  const button = document.createElement("button");
  button.type = "button";
  button.className = "pause";
  const label = () => { button.textContent = paused ? "Resume updating" : "Pause updating"; };
  button.addEventListener("click", () => { paused = !paused; label(); });
  label();
  document.querySelector("footer nav").append(" ", button);

  const headline = () => document.getElementById("headline").textContent;
  const isBeingRead = () => {
    const selection = document.getSelection();
    const selects = !selection.isCollapsed && main.contains(selection.anchorNode);
    return selects || (main !== document.activeElement && main.contains(document.activeElement));
  };

  const refresh = async () => {
    if (paused || document.hidden || isBeingRead()) return;
    const before = headline();
    try {
      const answer = await fetch("./", { cache: "no-store", signal: AbortSignal.timeout(EVERY_MS) });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (isBeingRead()) return;
      main.replaceChildren(...page.getElementById("main").childNodes);
      document.title = page.title;
      main.classList.remove("old");
    } catch {
      main.classList.add("old");
      document.title = "? No answer – payrecond";
      document.querySelector(".hero").className = "hero bad";
      document.querySelector(".hero .mark").textContent = "?";
      document.getElementById("headline").textContent = "No answer: is the daemon running?";
    }
    if (headline() !== before) says.textContent = headline();
  };
  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
})();
