// Before the first paint, so that a dark room is not lit by a light page that then turns dark. Not a module: modules
// wait for the page. "system" follows the computer's choice of light or dark.
(() => {
  let chosen = "dark";
  try {
    chosen = localStorage.getItem("scanmend-theme") || "dark";
  } catch {
    // storage is forbidden: dark
  }
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = chosen === "system" ? (light ? "light" : "dark") : chosen;
})();
