// Serves a GGUF file with llama.cpp's library, as node-llama-cpp packages it: as much of OpenAI's POST /v1/completions as the measurement asks for.
// Prompts are tokens, each the likeliest next one is written, an event a token; requests that come together are written as one batch.
//
//     node llama_cpp.mjs NODE_MODULES MODEL.gguf PORT THREADS SEQUENCES TOKENS

import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [modules, file, port, threads, sequences, tokens] = process.argv.slice(2);
const { getLlama } = await import(pathToFileURL(`${modules}/node-llama-cpp/dist/index.js`));
const llama = await getLlama({ gpu: false, build: "never", maxThreads: Number(threads), logLevel: "error" });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({ sequences: Number(sequences), contextSize: Number(tokens), threads: Number(threads) });

async function write(asked, response) {
  const sequence = context.getSequence();
  try {
    response.writeHead(200, { "content-type": "text/event-stream" });
    let written = 0;
    for await (const token of sequence.evaluate(asked.prompt, { temperature: 0, yieldEogToken: true })) {
      const text = model.detokenize([token], true) || " ";
      response.write(`data: ${JSON.stringify({ choices: [{ text }] })}\n\n`);
      written += 1;
      if (written === asked.max_tokens) break;
    }
    response.write(`data: ${JSON.stringify({ choices: [], usage: { completion_tokens: written } })}\n\n`);
    response.end("data: [DONE]\n\n");
  } finally {
    await sequence.dispose();
  }
}

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    write(JSON.parse(Buffer.concat(parts).toString()), response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  });
  response.socket.setNoDelay(true);
}).listen(Number(port), "127.0.0.1");
