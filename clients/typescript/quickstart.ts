// The gRPC API of torchmesh from TypeScript: a vector, a conversation as it is written, tensors, and an error.
import { readFileSync } from "node:fs";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { GRPCInferenceService } from "./inference/grpc_service_pb.js";
import { GenerationService } from "./torchmesh/text/v1/generation_pb.js";
import { TextService } from "./torchmesh/text/v1/text_pb.js";

// What to do about an error goes by its status code.
const remedies: Partial<Record<Code, string>> = {
  [Code.InvalidArgument]: "the message names the field and what to send",
  [Code.Unauthenticated]: "check the API key",
  [Code.PermissionDenied]: "ask for a key that may do this",
  [Code.NotFound]: "check the name of the model and its version",
  [Code.ResourceExhausted]: "wait as long as the trailer grpc-retry-pushback-ms says, then call again",
  [Code.DeadlineExceeded]: "give it more time, or send less at once",
  [Code.Unavailable]: "call again in a moment",
};

// Shows the key with every call.
const withKey: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${process.env.TORCHMESH_KEY}`);
  return next(request);
};

// TLS for https://, plain text for http://.
function connect(): Transport {
  const trusted = process.env.TORCHMESH_CA; // otherwise the authorities that Node comes with
  return createGrpcTransport({
    baseUrl: process.env.TORCHMESH_URL ?? "http://127.0.0.1:8080",
    interceptors: [withKey],
    nodeOptions: trusted ? { ca: readFileSync(trusted) } : {},
  });
}

// A text becomes a vector. The deadline, here 10 seconds, goes with the call through the whole mesh.
async function embed(transport: Transport): Promise<void> {
  const answer = await createClient(TextService, transport).embed(
    { model: "minilm", texts: ["A man is eating food."] },
    { timeoutMs: 10_000 },
  );
  const values = answer.embeddings[0].values;
  console.log(`embedding: ${values.length} numbers, the first is ${values[0].toFixed(4)}`);
}

// A language model answers piece by piece. Leaving the loop does not stop the model: an AbortSignal does, as `signal` beside `timeoutMs`.
async function chat(transport: Transport): Promise<void> {
  const pieces = createClient(GenerationService, transport).chat(
    {
      model: "smollm2",
      messages: [{ role: "user", content: "What is the capital of France?" }],
      settings: { temperature: 0, maxTokens: 32 },
    },
    { timeoutMs: 60_000 },
  );
  process.stdout.write("answer: ");
  for await (const piece of pieces) {
    process.stdout.write(piece.content);
    if (piece.usage) {
      console.log(`\ntokens: ${piece.usage.completionTokens}`);
    }
  }
}

// Tensors in, tensors out: the Open Inference Protocol.
async function infer(transport: Transport): Promise<void> {
  const tensor = (name: string, values: bigint[]) => ({
    name,
    datatype: "INT64",
    shape: [1n, BigInt(values.length)],
    contents: { int64Contents: values },
  });
  const answer = await createClient(GRPCInferenceService, transport).modelInfer(
    {
      modelName: "minilm",
      inputs: [tensor("input_ids", [101n, 7592n, 2088n, 102n]), tensor("attention_mask", [1n, 1n, 1n, 1n])],
    },
    { timeoutMs: 10_000 },
  );
  const raw = answer.rawOutputContents[0];
  const first = new DataView(raw.buffer, raw.byteOffset, raw.byteLength).getFloat32(0, true);
  const { name, shape } = answer.outputs[0];
  console.log(`tensor: ${name} [${shape.join(", ")}], the first is ${first.toFixed(4)}`);
}

// An error is a status code and a message.
function explain(thrown: unknown): string {
  const error = ConnectError.from(thrown);
  return `error: ${Code[error.code]}: ${error.rawMessage}; ${remedies[error.code] ?? "this should not happen"}`;
}

// Asks for a model that is not there.
async function refused(transport: Transport): Promise<void> {
  try {
    await createClient(GRPCInferenceService, transport).modelMetadata({ name: "nobody" }, { timeoutMs: 10_000 });
  } catch (error) {
    console.log(explain(error));
  }
}

try {
  const transport = connect();
  for (const step of [embed, chat, infer, refused]) {
    await step(transport);
  }
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
