"use strict";
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties = {}, children = []) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const entries = JSON.parse(find("#data").textContent);
  const layers = ["original", "adversarial", "difference"];
  const signs = Object.fromEntries(all("[data-filter]").map((chip) => [chip.dataset.filter, {
    kind: ["good", "fair", "poor"].find((kind) => chip.classList.contains(kind)),
    sign: find("i", chip).textContent,
    words: [...chip.childNodes].find((node) => node.nodeType === 3).textContent.trim(),
    meaning: chip.title,
  }]));

  // Light and dark: the system's choice, unless the reader makes one.
  find("#theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // Tables: a click sorts, another one turns the order round; what is missing stays last.
  const value = (cell) => {
    if (!("order" in cell.dataset)) return null;
    return cell.classList.contains("num") ? Number(cell.dataset.order) : cell.dataset.order;
  };
  const words = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => (typeof a === "number" ? a - b : words.compare(a, b));
  for (const table of all("table")) {
    const heads = all("th", table), body = find("tbody", table);
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const turn = head.ariaSort === "ascending" ? -1 : 1;
      for (const other of heads) other.ariaSort = "none";
      head.ariaSort = turn > 0 ? "ascending" : "descending";
      const keyed = [...body.rows].map((row) => [value(row.cells[column]), row]);
      keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : turn * compare(a, b)));
      body.append(...keyed.map(([, row]) => row));
    }));
  }

  // Tables that are wider than the page say so.
  const measure = () => {
    for (const box of all(".scroll")) box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
  };
  addEventListener("resize", measure);
  measure();

  // Gallery.
  let layer = "adversarial";
  let visible = [];
  const FIRST = 60; // images shown before one asks for all, so that the table stays in reach
  let expanded = false;
  const cards = find("#cards");
  const picture = (entry, which) => entry[which];
  const describe = (entry, which) => `${entry.key}, ${which}`;
  // Behind a difference, the original shows faintly, so that one sees where the changes are, and
  // so it does behind the word where there is no other image.
  const haunt = (ghost, entry, which) => {
    ghost.hidden = !entry.original || (which === "difference" ? !entry.difference : !!picture(entry, which));
    if (!ghost.hidden && ghost.src !== entry.original) ghost.src = entry.original;
  };
  // Inputs that are no pictures are told in words: their features.
  const told = (entry) => entry.features.join("\n");
  const put = (card, which) => {
    const source = picture(card.entry, which);
    card.image.hidden = !source;
    card.empty.hidden = !!source;
    card.empty.textContent = told(card.entry) || card.entry.nothing;
    if (source && card.image.src !== source) card.image.src = source;
    card.image.alt = describe(card.entry, which);
    haunt(card.ghost, card.entry, which);
  };
  const mark = (entry) => {
    const { kind, sign } = signs[entry.status];
    return make("i", { className: kind, textContent: sign, title: signs[entry.status].words });
  };
  const build = (entry) => {
    const image = make("img"), ghost = make("img", { className: "ghost", alt: "", hidden: true });
    const empty = make("span", { className: "empty", textContent: "none", hidden: true });
    const title = make("b", { textContent: entry.change }, []);
    title.append(mark(entry));
    const many = find("#run") ? `${entry.run} · ` : "";
    const element = make("button", { type: "button", className: "card" }, [
      make("span", { className: "frame" }, [ghost, image, empty]),
      title,
      make("small", { textContent: entry.short }),
      make("small", { textContent: many + entry.key, title: entry.key }),
    ]);
    const card = { entry, element, image, ghost, empty };
    const glance = () => entry.original && put(card, layer === "original" ? "adversarial" : "original");
    element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && glance());
    element.addEventListener("pointerleave", () => put(card, layer));
    element.addEventListener("click", () => open(card));
    put(card, layer);
    return card;
  };
  const gallery = cards ? entries.map(build) : [];
  const press = () => {
    for (const button of all("[data-layer]")) button.ariaPressed = String(button.dataset.layer === layer);
  };
  const show = (which) => {
    layer = which;
    press();
    for (const card of gallery) put(card, layer);
    if (viewer.open) draw();
  };
  const arrange = () => {
    const chosen = new Set(all('[data-filter][aria-pressed="true"]').map((chip) => chip.dataset.filter));
    const run = find("#run")?.value ?? "";
    const fits = (status, name) => chosen.has(status) && (!run || run === name);
    for (const row of all("tr[data-status]")) row.hidden = !fits(row.dataset.status, row.dataset.run);
    if (!cards) return;
    const order = find("#order").value, name = order.replace("-", ""), turn = order.startsWith("-") ? -1 : 1;
    visible = gallery.filter((card) => fits(card.entry.status, card.entry.run));
    if (name) {
      const key = (card) => card.entry.sort[name];
      visible.sort((a, b) => (key(a) === null) - (key(b) === null) || turn * (key(a) - key(b)));
    }
    const shown = expanded ? visible : visible.slice(0, FIRST);
    cards.replaceChildren(...shown.map((card) => card.element));
    find("#more").hidden = shown.length === visible.length;
    find("#more").textContent = `Show all ${visible.length} images`;
    find("#none").hidden = visible.length > 0;
  };
  for (const chip of all("[data-filter]")) {
    chip.addEventListener("click", () => {
      chip.ariaPressed = String(chip.ariaPressed !== "true");
      arrange();
    });
  }
  find("#more")?.addEventListener("click", () => {
    expanded = true;
    arrange();
  });
  find("#run")?.addEventListener("change", arrange);
  find("#order")?.addEventListener("change", arrange);
  for (const button of all("[data-layer]")) button.addEventListener("click", () => show(button.dataset.layer));

  // The viewer: one image, large.
  const viewer = find("#viewer");
  let current = null;
  const draw = () => {
    const { entry } = current, source = picture(entry, layer), large = find("#large");
    find("#viewer-title").textContent = `${entry.key} · ${entry.change}`;
    large.hidden = !source;
    find("#missing").hidden = !!source;
    find("#missing").textContent = told(entry) || (entry.nothing === "none" ? "none found" : entry.nothing);
    if (source) large.src = source;
    large.alt = describe(entry, layer);
    haunt(find("#ghost"), entry, layer);
    find("#scale").style.visibility = layer === "difference" && source ? "visible" : "hidden";
    for (const end of all("#scale b")) end.textContent = entry.scale;
    const status = signs[entry.status];
    const chip = make("span", { className: `chip ${status.kind}` }, [
      make("i", { textContent: status.sign }), status.words,
      entry.checked ? " and checked by the real network" : "",
    ]);
    find("#status").replaceChildren(chip);
    const numbers = [["label", entry.label], ...entry.numbers];
    if (find("#run")) numbers.unshift(["run", entry.run]);
    find("#numbers").replaceChildren(...numbers.map(([name, text]) => make("div", {}, [
      make("dt", { textContent: name }), make("dd", { textContent: text }),
    ])));
    find("#message").textContent = entry.message;
  };
  const open = (card) => {
    current = card;
    draw();
    if (!viewer.open) viewer.showModal();
    find("#picture").focus({ preventScroll: true });
  };
  const step = (by) => {
    const place = visible.indexOf(current);
    open(visible[(place + by + visible.length) % visible.length]);
  };
  const layered = entries.some((entry) => entry.difference);
  const turn = (by) => layered && show(layers[(layers.indexOf(layer) + by + layers.length) % layers.length]);
  viewer.addEventListener("close", () => current?.element.focus());
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  find("#previous").addEventListener("click", () => step(-1));
  find("#next").addEventListener("click", () => step(1));
  find("#picture").addEventListener("click", () => turn(1));
  viewer.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => turn(-1), ArrowDown: () => turn(1) };
    if (event.key in moves) {
      event.preventDefault();
      moves[event.key]();
    }
  });
  let start = null;
  viewer.addEventListener("touchstart", (event) => { start = event.touches[0]; }, { passive: true });
  viewer.addEventListener("touchend", (event) => {
    const end = event.changedTouches[0], across = end.clientX - start.clientX;
    if (Math.abs(across) > 50 && Math.abs(across) > 2 * Math.abs(end.clientY - start.clientY)) step(across < 0 ? 1 : -1);
  });

  press();
  arrange();
  document.documentElement.dataset.ready = "yes";
})();
