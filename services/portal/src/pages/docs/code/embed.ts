import OpenAI from "openai";

const client = new OpenAI({ baseURL: "GATEWAY/v1", apiKey: process.env.TORCHMESH_KEY });
const answer = await client.embeddings.create({ model: "MODEL", input: "A man is eating food." });
console.log(answer.data[0].embedding.slice(0, 5));
