// <button data-share="text" hidden>: the device's own sheet for passing things on. It shows up only
// where there is one; copying and the other ways are always there.
// <button data-share-files="address address" data-again="Tap once more" hidden>: the same for files.
// They are loaded when the button comes into sight. A device that waited too long for them wants a
// second tap: the words say so.
const probe = () => new File([""], "picture.jpg", { type: "image/jpeg" });
const takesFiles = () => navigator.share && navigator.canShare?.({ files: [probe()] });

const loaded = new WeakMap();

const load = (button) => {
  if (loaded.has(button)) return loaded.get(button);
  const names = (button.dataset.shareNames ?? "").split(" ").filter(Boolean);
  const addresses = button.dataset.shareFiles.trim().split(" ");
  const files = Promise.all(addresses.map(async (address, index) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${answer.status} ${address}`);
    const blob = await answer.blob();
    const type = blob.type.split(";")[0];
    const name = names[index] ?? `${index + 1}.${type.split("/")[1].replace("jpeg", "jpg")}`;
    return new File([blob], name, { type });
  }));
  loaded.set(button, files);
  files.catch(() => loaded.delete(button)); // the next tap tries again
  return files;
};

// One poster is loaded ahead; nine pictures only when they are wanted.
const sight = "IntersectionObserver" in window && new IntersectionObserver((entries) => {
  entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
    sight.unobserve(target);
    load(target).catch(() => {});
  });
});

const reveal = (root) => {
  if (!navigator.share) return;
  root.querySelectorAll("[data-share][hidden]").forEach((button) => { button.hidden = false; });
  if (!takesFiles()) return;
  root.querySelectorAll("[data-share-files][hidden]").forEach((button) => {
    button.hidden = false;
    if (sight && button.dataset.shareNames) sight.observe(button);
  });
};

const pass = async (what) => {
  try {
    await navigator.share(what);
  } catch (error) {
    if (error.name !== "AbortError") throw error; // closing the sheet is an answer, too
  }
};

reveal(document);
document.addEventListener("htmx:after:swap", () => reveal(document));

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-share], [data-share-files]");
  if (!button) return;
  if (button.dataset.share) {
    await pass({ text: button.dataset.share });
    return;
  }
  const files = await load(button);
  try {
    await pass({ files });
  } catch (error) {
    if (error.name !== "NotAllowedError") throw error;
    button.querySelector("[data-words]").textContent = button.dataset.again;
  }
});
