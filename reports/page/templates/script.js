(function () {
  "use strict";
  var list = document.getElementById("job-list");
  if (list) {
    var jobs = Array.prototype.slice.call(list.querySelectorAll("details.job"));
    var form = document.querySelector("form.filters");
    var words = document.getElementById("job-filter");
    var kind = document.getElementById("job-kind");
    var order = document.getElementById("job-order");
    var count = document.getElementById("job-count");
    form.hidden = false;
    var filter = function () {
      var wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      var shown = 0;
      jobs.forEach(function (job) {
        var text = job.querySelector("summary").textContent.toLowerCase();
        var fits = (!kind.value || job.dataset.kind === kind.value) &&
          wanted.every(function (word) { return text.indexOf(word) >= 0; });
        job.hidden = !fits;
        shown += fits ? 1 : 0;
      });
      count.textContent = shown + (shown === 1 ? " job" : " jobs");
    };
    var sort = function () {
      var key = order.value;
      jobs.sort(function (a, b) {
        if (key === "title") { return a.dataset.title.localeCompare(b.dataset.title); }
        var way = key === "order" ? 1 : -1;
        return way * (parseFloat(a.dataset[key]) - parseFloat(b.dataset[key]));
      });
      jobs.forEach(function (job) { list.appendChild(job); });
    };
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    words.addEventListener("input", filter);
    kind.addEventListener("change", filter);
    order.addEventListener("change", sort);
  }
  var open = function () {
    var target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") { at.open = true; at.hidden = false; }
    }
    document.querySelectorAll("td details[open]").forEach(function (cell) { if (!cell.contains(target)) { cell.open = false; } });
    if (target) { target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", open);
  if (location.hash) { open(); }
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") { return; }
    document.querySelectorAll("td details[open]").forEach(function (cell) {
      cell.open = false;
      if (cell.contains(document.activeElement)) { cell.querySelector("summary").focus(); }
    });
  });
  document.addEventListener("click", function (event) {
    document.querySelectorAll("td details[open]").forEach(function (cell) {
      if (!cell.contains(event.target)) { cell.open = false; }
    });
  });
  document.querySelectorAll("table[data-sortable]").forEach(function (table) {
    var body = table.tBodies[0];
    Array.prototype.forEach.call(table.tHead.rows[table.tHead.rows.length - 1].cells, function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.append.apply(button, Array.prototype.slice.call(head.childNodes));
      head.appendChild(button);
      button.addEventListener("click", function () {
        var way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        Array.prototype.forEach.call(head.parentElement.cells, function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        Array.prototype.slice.call(body.rows).map(function (row) {
          var text = row.cells[column].textContent.trim().replace("<", "");
          return { row: row, text: text, value: parseFloat(text) };
        }).sort(function (a, b) {
          if (!isNaN(a.value) && !isNaN(b.value)) { return way * (a.value - b.value); }
          if (isNaN(a.value) !== isNaN(b.value)) { return isNaN(a.value) ? 1 : -1; }
          return way * a.text.localeCompare(b.text);
        }).forEach(function (entry) { body.appendChild(entry.row); });
      });
    });
  });
})();
