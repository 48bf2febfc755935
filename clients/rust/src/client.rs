//! The mesh, as a service calls it.

use tonic::Status;
use torchmesh_api::{
    audio::v1::audio_service_client::AudioServiceClient,
    inference::grpc_inference_service_client::GrpcInferenceServiceClient,
    tensor::Tensor,
    text::v1::{
        Classification, ClassifyRequest, EmbedRequest, generation_service_client::GenerationServiceClient,
        text_service_client::TextServiceClient,
    },
    vision::v1::vision_service_client::VisionServiceClient,
};

use crate::{Auth, Balance, Builder, Chat, Deadline, Outputs, Pieces, Retry, tensors};

/// What the typed clients call through: a deadline over the retries of calls that carry a credential, over one balanced channel.
pub type MeshChannel = Deadline<Retry<Auth<Balance>>>;

/// A client of the mesh. Clones are cheap and share their connections, their budget of retries and their token.
///
/// The methods that are named after what they do take and give plain values; [`text`](Self::text), [`generation`](Self::generation), [`vision`](Self::vision),
/// [`audio`](Self::audio) and [`inference`](Self::inference) are the generated clients, with every field that there is.
#[derive(Debug, Clone)]
pub struct Client {
    channel: MeshChannel,
    max_message: usize,
}

/// A generated client that takes and sends messages as large as this client may.
macro_rules! sized {
    ($of:ident, $client:expr) => {
        $of::new($client.channel.clone()).max_decoding_message_size($client.max_message).max_encoding_message_size($client.max_message)
    };
}

impl Client {
    /// Begins a client of the mesh whose gateway is at `address`: `https://mesh.example.com`, or `http://127.0.0.1:8080`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let mesh = torchmesh_client::Client::builder("https://mesh.example.com").api_key(std::env::var("TORCHMESH_API_KEY")?).connect().await?;
    /// let vectors = mesh.embed("minilm", ["A man is eating food."]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(address: impl Into<String>) -> Builder {
        Builder::new(address.into())
    }

    pub(crate) fn new(channel: MeshChannel, max_message: usize) -> Self {
        Self { channel, max_message }
    }

    /// What the typed clients call through, for stubs of your own.
    pub fn channel(&self) -> MeshChannel {
        self.channel.clone()
    }

    /// Embeddings, classes, entities, rankings, explanations.
    pub fn text(&self) -> TextServiceClient<MeshChannel> {
        sized!(TextServiceClient, self)
    }

    /// Language models.
    pub fn generation(&self) -> GenerationServiceClient<MeshChannel> {
        sized!(GenerationServiceClient, self)
    }

    /// Images.
    pub fn vision(&self) -> VisionServiceClient<MeshChannel> {
        sized!(VisionServiceClient, self)
    }

    /// Sound.
    pub fn audio(&self) -> AudioServiceClient<MeshChannel> {
        sized!(AudioServiceClient, self)
    }

    /// Tensors of any model, and what models there are (the Open Inference Protocol).
    pub fn inference(&self) -> GrpcInferenceServiceClient<MeshChannel> {
        sized!(GrpcInferenceServiceClient, self)
    }

    /// One vector for each text, in their order.
    pub async fn embed<T: Into<String>>(&self, model: &str, texts: impl IntoIterator<Item = T>) -> Result<Vec<Vec<f32>>, Status> {
        let texts = texts.into_iter().map(Into::into).collect();
        let request = EmbedRequest { model: model.to_owned(), texts, ..Default::default() };
        let answer = self.text().embed(request).await?.into_inner();
        Ok(answer.embeddings.into_iter().map(|embedding| embedding.values).collect())
    }

    /// The labels of each text with their scores, the highest first, in the order of the texts.
    pub async fn classify<T: Into<String>>(&self, model: &str, texts: impl IntoIterator<Item = T>) -> Result<Vec<Classification>, Status> {
        let texts = texts.into_iter().map(Into::into).collect();
        let request = ClassifyRequest { model: model.to_owned(), texts, ..Default::default() };
        Ok(self.text().classify(request).await?.into_inner().classifications)
    }

    /// What a language model answers, piece by piece as it is written.
    ///
    /// ```no_run
    /// # async fn example(mesh: torchmesh_client::Client) -> Result<(), torchmesh_client::Status> {
    /// let mut pieces = mesh.chat("smollm2", "Why is the sky blue?").await?;
    /// while let Some(piece) = pieces.next().await {
    ///     print!("{}", piece?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn chat(&self, model: &str, chat: impl Into<Chat>) -> Result<Pieces, Status> {
        let Chat(mut request) = chat.into();
        model.clone_into(&mut request.model);
        Ok(Pieces::new(self.generation().chat(request).await?.into_inner()))
    }

    /// Tensors in, tensors out, of any model.
    ///
    /// ```no_run
    /// # async fn example(mesh: torchmesh_client::Client) -> Result<(), torchmesh_client::Status> {
    /// use torchmesh_client::Tensor;
    ///
    /// let ids = Tensor::from_i64s([1, 4], &[101, 7592, 2088, 102]);
    /// let mask = Tensor::from_i64s([1, 4], &[1; 4]);
    /// let outputs = mesh.infer("minilm", [("input_ids", ids), ("attention_mask", mask)]).await?;
    /// let embedding = outputs.get("embedding")?.to_f32s();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn infer<N: Into<String>>(&self, model: &str, inputs: impl IntoIterator<Item = (N, Tensor)>) -> Result<Outputs, Status> {
        let request = tensors::request(model, inputs);
        Outputs::read(self.inference().model_infer(request).await?.into_inner())
    }
}
