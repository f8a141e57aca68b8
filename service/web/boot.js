// Comes first and needs nothing: when a part of the page did not arrive, loads it once more, then says so.

const FLAG = "myopia-loaded-twice";
addEventListener("error", (event) => {
  if (!(event.target instanceof HTMLScriptElement)) return;
  if (!sessionStorage.getItem(FLAG)) {
    sessionStorage.setItem(FLAG, "yes");
    location.reload();
    return;
  }
  sessionStorage.removeItem(FLAG);
  const tell = () => {
    const notice = document.getElementById("notice");
    notice.textContent = "The page did not arrive whole. Load it again in a moment.";
    notice.hidden = false;
  };
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", tell);
  else tell();
}, true);
