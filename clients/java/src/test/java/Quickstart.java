import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import torchmesh.inference.GRPCInferenceServiceGrpc;
import torchmesh.inference.InferTensorContents;
import torchmesh.inference.ModelInferRequest;
import torchmesh.inference.ModelMetadataRequest;
import torchmesh.text.v1.ChatMessage;
import torchmesh.text.v1.ChatRequest;
import torchmesh.text.v1.EmbedRequest;
import torchmesh.text.v1.GenerationServiceGrpc;
import torchmesh.text.v1.GenerationSettings;
import torchmesh.text.v1.TextServiceGrpc;

/** The gRPC API of torchmesh from Java: a vector, a conversation as it is written, tensors, and an error. */
public final class Quickstart {
    /** What to do about an error goes by its status code. */
    private static final Map<Status.Code, String> REMEDIES = Map.of(
            Status.Code.INVALID_ARGUMENT, "the message names the field and what to send",
            Status.Code.UNAUTHENTICATED, "check the API key",
            Status.Code.PERMISSION_DENIED, "ask for a key that may do this",
            Status.Code.NOT_FOUND, "check the name of the model and its version",
            Status.Code.RESOURCE_EXHAUSTED, "wait as long as the trailer grpc-retry-pushback-ms says, then call again",
            Status.Code.DEADLINE_EXCEEDED, "give it more time, or send less at once",
            Status.Code.UNAVAILABLE, "call again in a moment");

    public static void main(String[] arguments) throws IOException {
        Metadata key = new Metadata();
        key.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + System.getenv("TORCHMESH_KEY"));
        String url = System.getenv().getOrDefault("TORCHMESH_URL", "http://127.0.0.1:8080");
        String address = url.substring(url.indexOf("://") + 3);
        ManagedChannel channel = Grpc.newChannelBuilder(address, credentials(url))
                .intercept(MetadataUtils.newAttachHeadersInterceptor(key)).build();
        try {
            embed(channel);
            chat(channel);
            infer(channel);
            refused(channel);
        } catch (StatusRuntimeException error) {
            System.err.println(explain(error));
            System.exit(1);
        } finally {
            channel.shutdownNow();
        }
    }

    /** TLS for https://, plain text for http://. */
    private static ChannelCredentials credentials(String url) throws IOException {
        if (url.startsWith("http://")) {
            return InsecureChannelCredentials.create();
        }
        String trusted = System.getenv("TORCHMESH_CA");
        if (trusted == null) {
            return TlsChannelCredentials.create(); // the authorities that Java comes with
        }
        return TlsChannelCredentials.newBuilder().trustManager(new File(trusted)).build();
    }

    /** A text becomes a vector. The deadline, here 10 seconds, goes with the call through the whole mesh. */
    private static void embed(Channel channel) {
        var client = TextServiceGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS);
        var request = EmbedRequest.newBuilder().setModel("minilm").addTexts("A man is eating food.").build();
        var embedding = client.embed(request).getEmbeddings(0);
        System.out.printf("embedding: %d numbers, the first is %.4f%n", embedding.getValuesCount(), embedding.getValues(0));
    }

    /** A language model answers piece by piece. Cancelling the call's context stops the model. */
    private static void chat(Channel channel) {
        var client = GenerationServiceGrpc.newBlockingStub(channel).withDeadlineAfter(60, TimeUnit.SECONDS);
        var question = ChatMessage.newBuilder().setRole("user").setContent("What is the capital of France?");
        var settings = GenerationSettings.newBuilder().setTemperature(0).setMaxTokens(32);
        var request = ChatRequest.newBuilder().setModel("smollm2").addMessages(question).setSettings(settings).build();
        System.out.print("answer: ");
        client.chat(request).forEachRemaining(piece -> {
            System.out.print(piece.getContent());
            System.out.flush();
            if (piece.hasUsage()) {
                System.out.printf("%ntokens: %d%n", piece.getUsage().getCompletionTokens());
            }
        });
    }

    /** Tensors in, tensors out: the Open Inference Protocol. */
    private static void infer(Channel channel) {
        var client = GRPCInferenceServiceGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS);
        var request = ModelInferRequest.newBuilder().setModelName("minilm")
                .addInputs(tensor("input_ids", List.of(101L, 7592L, 2088L, 102L)))
                .addInputs(tensor("attention_mask", List.of(1L, 1L, 1L, 1L))).build();
        var answer = client.modelInfer(request);
        var numbers = answer.getRawOutputContents(0).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        var output = answer.getOutputs(0);
        System.out.printf("tensor: %s %s, the first is %.4f%n", output.getName(), output.getShapeList(), numbers.get(0));
    }

    private static ModelInferRequest.InferInputTensor tensor(String name, List<Long> values) {
        var contents = InferTensorContents.newBuilder().addAllInt64Contents(values);
        return ModelInferRequest.InferInputTensor.newBuilder().setName(name).setDatatype("INT64")
                .addShape(1).addShape(values.size()).setContents(contents).build();
    }

    /** An error is a status code and a message. */
    private static String explain(StatusRuntimeException error) {
        Status status = error.getStatus();
        String remedy = REMEDIES.getOrDefault(status.getCode(), "this should not happen");
        return "error: " + status.getCode() + ": " + status.getDescription() + "; " + remedy;
    }

    /** Asks for a model that is not there. */
    private static void refused(Channel channel) {
        var client = GRPCInferenceServiceGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS);
        try {
            client.modelMetadata(ModelMetadataRequest.newBuilder().setName("nobody").build());
        } catch (StatusRuntimeException error) {
            System.out.println(explain(error));
        }
    }
}
