// fetch over HTTPS with a certificate that no authority has signed.

import { createHash, X509Certificate } from "node:crypto";
import { request } from "node:https";
import { Readable } from "node:stream";

// Trusts exactly the certificate `pem`.
export function trustingFetch(pem: string): typeof fetch {
  return async (input, init) => {
    const asked = new Request(input, init);
    const body = asked.body === null ? undefined : Buffer.from(await asked.arrayBuffer());
    return await new Promise<Response>((resolve, reject) => {
      const headers = Object.fromEntries(asked.headers);
      const { method, signal } = asked;
      const call = request(asked.url, { ca: pem, method, headers, signal }, (answer) => {
        const fields = Object.entries(answer.headers).map(([name, value]) => [name, String(value)]);
        const status = answer.statusCode!;
        const stream = status === 204 ? null : (Readable.toWeb(answer) as ReadableStream);
        resolve(new Response(stream, { status, headers: Object.fromEntries(fields) }));
      });
      call.on("error", reject);
      call.end(body);
    });
  };
}

// What makes Chromium take the certificate, and no other unknown one.
export function trustingFlag(pem: string): string {
  const key = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
  const hash = createHash("sha256").update(key).digest("base64");
  return `--ignore-certificate-errors-spki-list=${hash}`;
}
