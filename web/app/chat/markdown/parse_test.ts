import { describe, expect, it } from "vitest";

import { blocksOf, toHtml } from "./parse.ts";

describe("toHtml", () => {
  it("shows HTML as text", () => {
    expect(toHtml("a <b onclick=x>b</b>")).toBe("<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n");
    expect(toHtml("<script>alert(1)</script>")).not.toContain("<script");
    expect(toHtml("<div>\n\n<img src=x onerror=y>\n")).not.toMatch(/<(?:img|div)/);
  });

  it("makes links of images, so that nothing is fetched", () => {
    const html = toHtml('![a "b"](https://x.example/?q=secret)');
    expect(html).toContain('<a href="https://x.example/?q=secret">');
    expect(html).not.toContain("<img");
  });

  it("keeps headings below the page's own", () => {
    expect(toHtml("# One")).toBe("<h4>One</h4>");
    expect(toHtml("##### Five")).toBe("<h6>Five</h6>");
  });

  it("names the language of code, in harmless words only", () => {
    expect(toHtml("```c++\n1 < 2\n```")).toBe(
      '<pre><code class="language-c++">1 &lt; 2</code></pre>',
    );
    expect(toHtml('```"><script>\nx\n```')).toBe("<pre><code>x</code></pre>");
  });

  it.each([
    ["$x_1 + y$", '<span class="math">x_1 + y</span>'],
    ["\\(a < b\\)", '<span class="math">a &lt; b</span>'],
    ["$$\nE = mc^2\n$$", '<p><span class="math display">E = mc^2</span></p>'],
    ["\\[\na\n\\]", '<p><span class="math display">a</span></p>'],
    ["so $$a$$ it is", '<span class="math display">a</span>'],
  ])("finds the formula in %j", (text, html) => expect(toHtml(text)).toContain(html));

  it.each(["It costs $5 and $10.", "$ x $", "`$x$`", "a \\$5 b$", "```\n$x$\n```"])(
    "finds no formula in %j",
    (text) => expect(toHtml(text)).not.toContain("math"),
  );
});

describe("blocksOf", () => {
  const text = "# T\n\nOne\ntwo\n\n- a\n- b\n\n```js\nlet x\n\nlet y\n```\n\nEnd";

  it("cuts a text at its blocks", () => {
    expect(blocksOf(text).map(({ isCode }) => isCode)).toEqual([false, false, false, true, false]);
  });

  it("changes only the last blocks as a text grows", () => {
    let before: string[] = [];
    for (let length = 1; length <= text.length; ++length) {
      const raws = blocksOf(text.slice(0, length)).map(({ raw }) => raw.trimEnd());
      const same = before.findIndex((raw, index) => raw !== raws[index]);
      if (same !== -1) expect(same).toBeGreaterThanOrEqual(before.length - 2);
      before = raws;
    }
  });
});
