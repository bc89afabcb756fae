"use strict";
(() => {
  const table = document.getElementById("events"), note = document.getElementById("live");
  if (!window.EventSource) return;
  const rows = table.tBodies[0], { feed, project, most } = table.dataset;
  // A page that nobody has looked at for so long begins anew: to fetch all that happened meanwhile would take long.
  const old = 600000;
  let last = table.dataset.last, source, left = Date.now();

  const when = (seconds) => {
    const date = new Date(seconds * 1000);
    return isNaN(date) ? String(seconds) : date.toISOString().slice(0, 19).replace("T", " ");
  };
  const name = /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/i;
  const add = (event) => {
    const row = rows.insertRow(0);
    const cell = (text, kind) => {
      const made = row.insertCell();
      made.textContent = text;
      made.className = kind;
      return made;
    };
    cell(event.serial, "number minor");
    cell(when(event.time), "time");
    if (name.test(event.name)) {
      const link = document.createElement("a");
      link.href = project + event.name.toLowerCase().replace(/[-_.]+/g, "-") + "/";
      link.textContent = event.name;
      cell("", "").append(link);
    } else {
      cell(event.name, "");
    }
    cell(event.version, "");
    cell(event.action, "");
    while (rows.rows.length > most) rows.deleteRow(-1);
  };

  const open = () => {
    source = new EventSource(last ? feed + "?since=" + last : feed);
    source.onopen = () => { note.textContent = "Live: new events appear on top."; };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      last = event.serial;
      add(event);
    };
    source.onerror = () => {
      note.textContent = source.readyState === EventSource.CLOSED
        ? "Not live: the relay gives no events just now. Load this page again to see newer ones."
        : "Not live just now: the connection is made again.";
    };
  };
  // Each feed takes one of the places that there are, so none is held by a page that nobody sees.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      left = Date.now();
      if (source) source.close();
    } else if (Date.now() - left > old) {
      location.reload();
    } else {
      open();
    }
  });
  if (!document.hidden) open();
})();
