"use strict";
// Moves the units of every row together: at step k the first k units stand as they are emitted, the rest in natural
// order. Nothing here holds data: units are elements that say their step and slot.
for (const box of document.querySelectorAll(".examples")) {
  const range = box.querySelector("input"), said = box.querySelector("output"), last = Number(range.max);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const lists = [...box.querySelectorAll(".moved")].map((list) => ({ list, units: [...list.children] }));
  const number = (unit, name) => Number(unit.dataset[name]);

  function ordered(units, step) {
    const emitted = (unit) => number(unit, "step") < step;
    const before = units.filter(emitted).sort((a, b) => number(a, "step") - number(b, "step"));
    const after = units.filter((unit) => !emitted(unit)).sort((a, b) => number(a, "slot") - number(b, "slot"));
    for (const unit of units) {
      unit.classList.toggle("emitted", emitted(unit));
      unit.hidden = "copy" in unit.dataset && !emitted(unit);
    }
    return [...before, ...after];
  }

  function show(step) {
    const where = step === 0 ? ": natural order" : step === last ? ": emitted order" : "";
    range.value = step;
    said.textContent = `${step} of ${last}${where}`;
    range.setAttribute("aria-valuetext", said.textContent);
    const from = new Map();
    for (const { units } of lists) for (const unit of units) from.set(unit, unit.getBoundingClientRect());
    for (const { list, units } of lists) list.append(...ordered(units, step));
    if (still.matches) return;
    for (const [unit, old] of from) {
      const now = unit.getBoundingClientRect();
      if (!old.width || (old.left === now.left && old.top === now.top)) continue;
      const moved = { transform: `translate(${old.left - now.left}px, ${old.top - now.top}px)` };
      unit.animate([moved, { transform: "none" }], { duration: 250, easing: "ease-out" });
    }
  }

  const targets = { first: () => 0, back: () => Number(range.value) - 1, on: () => Number(range.value) + 1, last: () => last };
  range.addEventListener("input", () => show(Number(range.value)));
  for (const button of box.querySelectorAll("button")) {
    button.addEventListener("click", () => show(Math.min(last, Math.max(0, targets[button.dataset.to]()))));
  }
  for (const part of box.querySelectorAll(".controls, #moving")) part.hidden = false;
  show(0);
}
