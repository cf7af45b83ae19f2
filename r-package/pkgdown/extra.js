// The table of contents and the search: pkgdown's own script takes libraries from other servers for them.

const element = (tag, properties) => Object.assign(document.createElement(tag), properties);

const toc = document.getElementById("toc");
const headings = [...document.querySelectorAll("main h2[id]")];
if (toc) {
  const links = element("div", { className: "nav flex-column" });
  links.append(
    ...headings.map(({ id, textContent }) => element("a", { href: `#${id}`, className: "nav-link", textContent })),
  );
  toc.append(links);
}

const input = document.getElementById("search-input");
const found = element("div", { className: "dropdown-menu" });
const url = input.dataset.searchIndex;
let index; // a promise, from the first letter on

// The sections that have all the words; first those that have them in their headings.
function matches(sections, words) {
  const has = (text) => words.every((word) => text.toLowerCase().includes(word));
  const all = sections.filter((s) => has(`${s.title} ${s.what} ${s.text} ${s.code}`));
  const isFirst = (s) => has(`${s.title} ${s.what}`);
  return [...all.filter(isFirst), ...all.filter((s) => !isFirst(s))].slice(0, 12);
}

function link(section) {
  const href = url.replace("search.json", section.path.slice(1)) + (section.id ? `#${section.id}` : "");
  const textContent = section.what === section.title ? section.title : `${section.title}: ${section.what}`;
  return element("a", { href, className: "dropdown-item text-wrap", textContent });
}

function note(textContent) {
  return element("span", { className: "dropdown-item-text", textContent });
}

async function search() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  found.classList.toggle("show", words.length > 0);
  try {
    index ??= fetch(url).then((response) => response.json());
    const links = matches(await index, words).map(link);
    found.replaceChildren(...(links.length > 0 ? links : [note("Nothing found")]));
  } catch {
    found.replaceChildren(note("The search works on a web server only"));
  }
}

input.after(found);
input.addEventListener("input", search);
input.form.addEventListener("submit", (event) => {
  event.preventDefault();
  found.querySelector("a")?.click();
});
