// Server-sent events out of a response body.

// A longer event without an end is no event.
const eventCharsMax = 4 * 1024 * 1024;

// The data of each event in turn. Line ends may be LF, CRLF or CR; comments and other fields are
// skipped. An event that is not ended by an empty line is not given.
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  let pending = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      pending += value;
      if (pending.length > eventCharsMax) throw new Error("the answer has an endless line");
      // A CR at the very end may be the first half of a CRLF.
      const usable = pending.endsWith("\r") ? pending.length - 1 : pending.length;
      const lines = pending.slice(0, usable).split(/\r\n|\n|\r/);
      pending = lines.pop()! + pending.slice(usable);
      for (const line of lines) {
        if (line !== "") {
          const field = /^data: ?(.*)$/s.exec(line);
          if (field !== null) data.push(field[1]!);
          continue;
        }
        if (data.length > 0) yield data.join("\n");
        data = [];
      }
    }
  } finally {
    await reader.cancel();
  }
}
