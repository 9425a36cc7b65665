// Builds static/dist from the sources beside this file: hashed names, manifest, licences.
// `node build.mjs OUT` builds somewhere else, so that a test can compare.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const packages = join(here, "node_modules");
const out = resolve(process.argv[2] ?? join(here, "../static/dist"));
const manifest = {};
const file = (...parts) => readFileSync(join(here, ...parts));

// What reaches the browser. Everything else in package.json only builds or tests.
const SHIPPED = { "htmx.org": "LICENSE", uplot: "LICENSE", "lucide-static": "LICENSE", tailwindcss: "LICENSE", daisyui: "LICENSE" };

const keep = (name, content) => {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 8);
  const hashed = `${basename(name, extname(name))}.${hash}${extname(name)}`;
  writeFileSync(join(out, hashed), content);
  manifest[name] = hashed;
};

const styles = () => {
  const folder = mkdtempSync(join(tmpdir(), "tuike-css-"));
  const sheet = join(folder, "app.css");
  execFileSync(
    process.execPath,
    [join(packages, "@tailwindcss/cli/dist/index.mjs"), "--minify", "--input", "css/app.css", "--output", sheet],
    { cwd: here, stdio: ["ignore", "ignore", "inherit"] },
  );
  keep("app.css", readFileSync(sheet));
  rmSync(folder, { recursive: true });
};

const scripts = async () => {
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: ["js/app.js"],
    outdir: out,
    bundle: true,
    splitting: true,
    format: "esm",
    minify: true,
    target: ["chrome111", "safari16.4", "firefox128"],
    entryNames: "[name].[hash]",
    chunkNames: "[name].[hash]",
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
  });
  for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
    manifest[entryPoint ? basename(entryPoint) : basename(path)] = basename(path);
  }
};

// What shops put into their pages, under a name that never changes (affiliate/assets.py).
const affiliate = async () => {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: ["shop/affiliate.js"],
    minify: true,
    target: "es2018", // browsers inside of apps are old
    write: false,
    logLevel: "warning",
  });
  keep("affiliate.js", outputFiles[0].contents);
};

// The page in between has a style sheet and a script of its own (affiliate/links/pages.py).
const landing = async () => {
  for (const name of ["landing.css", "landing.js"]) {
    const { outputFiles } = await build({
      absWorkingDir: here,
      entryPoints: [`landing/${name}`],
      minify: true,
      target: ["es2017", "chrome61", "safari11"],
      write: false,
      logLevel: "warning",
    });
    keep(name, outputFiles[0].contents);
  }
};

// Its address stays, so affiliate/assets.py puts the names of the other files into it.
const worker = async () => {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: ["worker/worker.js"],
    bundle: true,
    format: "iife",
    minify: true,
    target: ["chrome111", "safari16.4", "firefox128"],
    write: false,
    logLevel: "warning",
  });
  keep("worker.js", outputFiles[0].contents);
};

const libraries = () => {
  keep("htmx.js", file("node_modules/htmx.org/dist/htmx.min.js"));
  keep("hx-sse.js", file("node_modules/htmx.org/dist/ext/hx-sse.min.js"));
};

// Only the inside of each drawing: components/icons.html draws the frame.
const icons = () => {
  const folder = join(here, "../templates/components/icons");
  mkdirSync(folder, { recursive: true });
  for (const old of readdirSync(folder)) rmSync(join(folder, old));
  for (const name of file("icons.txt").toString().split(/\s+/).filter(Boolean)) {
    const svg = file("node_modules/lucide-static/icons", `${name}.svg`).toString();
    const inside = svg.replace(/<!--.*?-->/gs, "").replace(/<svg[^>]*>|<\/svg>/g, "");
    writeFileSync(join(folder, `${name}.svg`), inside.replace(/\s+/g, " ").trim());
  }
};

const licences = () => {
  const parts = Object.entries(SHIPPED).map(([name, licence]) => {
    const { version, license } = JSON.parse(file("node_modules", name, "package.json"));
    const text = file("node_modules", name, licence).toString().trim();
    return `## ${name} ${version} (${license})\n\n\`\`\`\n${text}\n\`\`\`\n`;
  });
  const head = "# Work of others in these files\n\nThe built files in this folder contain parts of:\n";
  writeFileSync(join(out, "THIRD_PARTY.md"), [head, ...parts].join("\n"));
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
if (process.argv[2] === undefined) icons();
styles();
await scripts();
await affiliate();
await landing();
await worker();
libraries();
for (const name of readdirSync(join(here, "images"))) keep(name, file("images", name));
licences();
const sorted = Object.fromEntries(Object.entries(manifest).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(join(out, "manifest.json"), `${JSON.stringify(sorted, null, 2)}\n`);
