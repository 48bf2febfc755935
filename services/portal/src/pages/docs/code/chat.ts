import OpenAI from "openai";

const client = new OpenAI({ baseURL: "GATEWAY/v1", apiKey: process.env.TORCHMESH_KEY });
const stream = await client.chat.completions.create({
  model: "MODEL",
  messages: [{ role: "user", content: "Why is the sky blue?" }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
