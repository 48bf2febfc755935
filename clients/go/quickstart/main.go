// The gRPC API of torchmesh from Go: a vector, a conversation as it is written, tensors, and an error.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"example.org/torchmesh/inference"
	textv1 "example.org/torchmesh/torchmesh/text/v1"
)

// What to do about an error goes by its status code.
var remedies = map[codes.Code]string{
	codes.InvalidArgument:   "the message names the field and what to send",
	codes.Unauthenticated:   "check the API key",
	codes.PermissionDenied:  "ask for a key that may do this",
	codes.NotFound:          "check the name of the model and its version",
	codes.ResourceExhausted: "wait as long as the trailer grpc-retry-pushback-ms says, then call again",
	codes.DeadlineExceeded:  "give it more time, or send less at once",
	codes.Unavailable:       "call again in a moment",
}

// TLS for https://, plain text for http://.
func connect() (*grpc.ClientConn, error) {
	url := os.Getenv("TORCHMESH_URL")
	if url == "" {
		url = "http://127.0.0.1:8080"
	}
	scheme, address, _ := strings.Cut(url, "://")
	if scheme == "http" {
		return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	trusted := credentials.NewTLS(nil) // the system's authorities
	if file := os.Getenv("TORCHMESH_CA"); file != "" {
		var err error
		if trusted, err = credentials.NewClientTLSFromFile(file, ""); err != nil {
			return nil, err
		}
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(trusted))
}

// A text becomes a vector.
func embed(ctx context.Context, channel *grpc.ClientConn) error {
	// The deadline goes with the call through the whole mesh.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request := &textv1.EmbedRequest{Model: "minilm", Texts: []string{"A man is eating food."}}
	answer, err := textv1.NewTextServiceClient(channel).Embed(ctx, request)
	if err != nil {
		return err
	}
	values := answer.Embeddings[0].Values
	fmt.Printf("embedding: %d numbers, the first is %.4f\n", len(values), values[0])
	return nil
}

// A language model answers piece by piece. Cancelling the context stops the model.
func chat(ctx context.Context, channel *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	pieces, err := textv1.NewGenerationServiceClient(channel).Chat(ctx, &textv1.ChatRequest{
		Model:    "smollm2",
		Messages: []*textv1.ChatMessage{{Role: "user", Content: "What is the capital of France?"}},
		Settings: &textv1.GenerationSettings{Temperature: proto.Float32(0), MaxTokens: proto.Uint32(32)},
	})
	if err != nil {
		return err
	}
	fmt.Print("answer: ")
	for {
		piece, err := pieces.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Print(piece.Content)
		if piece.Usage != nil {
			fmt.Printf("\ntokens: %d\n", piece.Usage.CompletionTokens)
		}
	}
}

// Tensors in, tensors out: the Open Inference Protocol.
func infer(ctx context.Context, channel *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tensor := func(name string, values ...int64) *inference.ModelInferRequest_InferInputTensor {
		contents := &inference.InferTensorContents{Int64Contents: values}
		return &inference.ModelInferRequest_InferInputTensor{
			Name: name, Datatype: "INT64", Shape: []int64{1, int64(len(values))}, Contents: contents,
		}
	}
	answer, err := inference.NewGRPCInferenceServiceClient(channel).ModelInfer(ctx, &inference.ModelInferRequest{
		ModelName: "minilm",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			tensor("input_ids", 101, 7592, 2088, 102), tensor("attention_mask", 1, 1, 1, 1),
		},
	})
	if err != nil {
		return err
	}
	first := math.Float32frombits(binary.LittleEndian.Uint32(answer.RawOutputContents[0]))
	fmt.Printf("tensor: %s %v, the first is %.4f\n", answer.Outputs[0].Name, answer.Outputs[0].Shape, first)
	return nil
}

// An error is a status code and a message.
func explain(err error) string {
	told := status.Convert(err)
	remedy, known := remedies[told.Code()]
	if !known {
		remedy = "this should not happen"
	}
	return fmt.Sprintf("error: %s: %s; %s", told.Code(), told.Message(), remedy)
}

// Asks for a model that is not there.
func refused(ctx context.Context, channel *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request := &inference.ModelMetadataRequest{Name: "nobody"}
	if _, err := inference.NewGRPCInferenceServiceClient(channel).ModelMetadata(ctx, request); err != nil {
		fmt.Println(explain(err))
	}
	return nil
}

func main() {
	channel, err := connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer channel.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Getenv("TORCHMESH_KEY"))
	for _, step := range []func(context.Context, *grpc.ClientConn) error{embed, chat, infer, refused} {
		if err := step(ctx, channel); err != nil {
			fmt.Fprintln(os.Stderr, explain(err))
			os.Exit(1)
		}
	}
}
