// Every behaviour is one small file. All of them listen on the document, so what htmx swaps in
// behaves like what was there. None says a word of its own: words stand in the page, translated.
import "./charts.js";
import "./copy.js";
import "./dialogs.js";
import "./live.js";
import "./menus.js";
import "./home.js";
import "./once.js";
import "./push.js";
import "./share.js";
import "./theme.js";
import "./toasts.js";
import "./trouble.js";
