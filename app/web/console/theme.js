// Light, dark, or as the system has it. A classic script, run before the first paint: no page flashes in the other one.

(() => {
  const KEY = "baton.theme";
  const THEMES = ["system", "light", "dark"];
  const COLOURS = { light: "#f7f7f5", dark: "#17181b" };

  const chosen = () => {
    try {
      const kept = localStorage.getItem(KEY);
      return THEMES.includes(kept) ? kept : "system";
    } catch {
      return "system"; // the browser keeps nothing for this page
    }
  };

  const show = (theme = chosen()) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    for (const meta of document.querySelectorAll('meta[name="theme-color"]')) {
      meta.content = COLOURS[theme] ?? COLOURS[meta.media.includes("dark") ? "dark" : "light"];
    }
    document.querySelector('meta[name="color-scheme"]').content = theme === "system" ? "light dark" : theme;
    for (const select of document.querySelectorAll("select.theme")) select.value = theme;
  };

  const choose = (theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // it lasts as long as the page
    }
    show(theme);
  };

  show();
  // `change` of any select of this class, whenever it was made; and what another tab has chosen
  document.addEventListener("change", (event) => event.target.matches?.("select.theme") && choose(event.target.value));
  addEventListener("storage", (event) => (event.key === KEY || event.key === null) && show());
})();
