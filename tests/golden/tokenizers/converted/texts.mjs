// Texts that tokenizers differ about, and random ones: the same at every run. Hardly any of their
// characters are newer than Unicode 14: libraries of different ages differ about those.
const fixed = [
  "",
  " ",
  "Hello world",
  "  two  spaces ",
  "don't I'LL we've THEY'RE it'ſ",
  "1234567 12 ½ ² ٣٤٥",
  "日本語 漢字かな カナ 한국어 中文分词测试，标点。",
  "汉字Latin汉字123汉字",
  "HTTPServer fooBarBAZ camelCase XMLHttpRequest",
  "emoji 😀👍🏽👨‍👩‍👧 flags 🇫🇷",
  "tabs\tand\nnew\r\nlines\n\n   \n  x",
  "a.b,c!d?e;f(g)[h]{i} //comment\n/* x */",
  "e\u0301\u0327 a\u0300 Étude ǅ ʰ",
  "[BOS]inside<|im_end|> [bos] <|im_start|>",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "ababababababababab the the the",
  "\u00a0nbsp\u3000wide \u200bzero\u0085next",
  "Καλημέρα κόσμε Привет мир שלום مرحبا नमस्ते",
];

export function randomTexts(count) {
  let state = 12345;
  const random = (bound) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const common = [..."abcdefghijklmnop THEQ '.,-\n\t 0123456789éß漢字かな한"];
  const words = ["the", " and", "ing", " [BOS]", "<|im_end|>", "'s", "'LL", "   ", "\r\n", "漢字"];
  const texts = [...fixed];
  while (texts.length < count) {
    let text = "";
    for (let left = 1 + random(30); left > 0; --left) {
      const kind = random(10);
      if (kind < 6) text += common[random(common.length)];
      else if (kind < 8) text += words[random(words.length)];
      else {
        const point = random(kind === 8 ? 0x3000 : 0x10000);
        const surrogate = point >= 0xd800 && point < 0xe000;
        const character = surrogate ? "x" : String.fromCodePoint(point);
        text += /\p{Unassigned}/u.test(character) ? "x" : character;
      }
    }
    texts.push(text);
  }
  return texts;
}
