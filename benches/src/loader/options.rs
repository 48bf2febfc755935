//! What the command line says.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, header};

use super::call::Template;
use crate::{
    body::{TensorSpec, infer_request},
    grpc,
};

/// Where the load goes, what it is, and how long it lasts.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// Address of the server, `IP:PORT` (h2c).
    #[arg(long)]
    pub address: SocketAddr,
    /// Callers, each with one call in flight; with `--rate`, the most calls in flight.
    #[arg(long, default_value_t = 1)]
    pub callers: usize,
    /// Connections that the callers share evenly.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Method to call.
    #[arg(long, default_value = "/inference.GRPCInferenceService/ModelInfer")]
    pub path: String,
    /// File with the encoded message (without the gRPC frame), instead of `--model` and `--tensor`; of several, calls take the next in turn.
    #[arg(long = "body-file", conflicts_with_all = ["model", "tensors"])]
    pub body_files: Vec<PathBuf>,
    /// File that the message of the last answer is written to (without the gRPC frame).
    #[arg(long)]
    pub answer_file: Option<PathBuf>,
    /// Model that the built-in `ModelInferRequest` names.
    #[arg(long, default_value = "noop")]
    pub model: String,
    /// One input of the built-in request, `NAME:FP32|INT64|INT32:1x32[:VALUE or FIRST..END]`; once for each input.
    #[arg(long = "tensor", default_value = "INPUT0:FP32:1x256")]
    pub tensors: Vec<TensorSpec>,
    /// Extra header, `name: value`; may be given several times. A secret is better in `--header-file`.
    #[arg(long = "header")]
    pub headers: Vec<String>,
    /// File with extra headers, one `name: value` a line, so that a key does not show among the processes' arguments.
    #[arg(long)]
    pub header_file: Option<PathBuf>,
    /// Calls a second at even distances, whatever the answers take (open loop); latency then counts from the moment a call was due.
    #[arg(long)]
    pub rate: Option<f64>,
    /// With `--rate`: calls come at random, as a Poisson process drawn from this seed, in the place of even distances.
    #[arg(long, value_name = "SEED", requires = "rate")]
    pub poisson: Option<u64>,
    /// Sends `grpc-timeout`, and gives a call up a quarter of a second after it: such a call counts as `hang`. An answer that comes in that quarter
    /// is of no use to a caller any more, and counts as `late`.
    #[arg(long)]
    pub deadline_ms: Option<u32>,
    /// Length of the run in seconds.
    #[arg(long, default_value_t = 5.0, conflicts_with = "until_stopped")]
    pub seconds: f64,
    /// Ends the run after so many calls, if that is before `--seconds`.
    #[arg(long)]
    pub requests: Option<u64>,
    /// Runs until SIGTERM or SIGINT.
    #[arg(long)]
    pub until_stopped: bool,
    /// Prints one line of JSON for each second too, as it ends.
    #[arg(long)]
    pub every_second: bool,
}

/// A command line that cannot be run, in words for the person who typed it.
#[derive(Debug)]
pub struct OptionsError(String);

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionsError {}

impl Options {
    /// What would make a run meaningless.
    pub(super) fn validate(&self) -> Result<(), OptionsError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let wrong = [
            (self.callers == 0, "--callers must be at least 1"),
            (self.connections == 0, "--connections must be at least 1"),
            (!positive(self.seconds), "--seconds must be a positive number"),
            (self.rate.is_some_and(|rate| !positive(rate)), "--rate must be a positive number"),
            (self.requests == Some(0), "--requests must be at least 1"),
        ];
        match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, message)) => Err(OptionsError(message.to_owned())),
            None => Ok(()),
        }
    }

    /// How long the run may last; `None` until a signal comes.
    pub(super) fn length(&self) -> Option<Duration> {
        (!self.until_stopped).then(|| Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::MAX))
    }

    /// When an answer is of no use any more; `None` for never.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadline_ms.map(|deadline| Duration::from_millis(u64::from(deadline)))
    }

    /// The call that this command line describes.
    pub(super) fn template(&self) -> Result<Template, OptionsError> {
        let bodies = if self.body_files.is_empty() {
            vec![grpc::frame(&infer_request(&self.model, &self.tensors))]
        } else {
            self.body_files.iter().map(|path| read_body(path)).collect::<Result<_, _>>()?
        };
        Ok(Template::new(self.head()?, bodies, self.answer_file.is_some()))
    }

    /// Writes the answer that the run kept, if it was to keep one and one came.
    pub(super) fn save_answer(&self, answer: &[u8]) -> Result<(), OptionsError> {
        match &self.answer_file {
            Some(path) if !answer.is_empty() => {
                fs::write(path, answer).map_err(|error| OptionsError(format!("--answer-file {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }

    fn head(&self) -> Result<Request<()>, OptionsError> {
        let mut head = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{}", self.address, self.path))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        if let Some(deadline) = self.deadline_ms {
            head = head.header("grpc-timeout", format!("{deadline}m"));
        }
        for line in self.header_lines()? {
            let (name, value) = parse_header(&line)?;
            head = head.header(name, value);
        }
        head.body(()).map_err(|error| OptionsError(format!("--path or a header is not valid: {error}")))
    }

    fn header_lines(&self) -> Result<Vec<String>, OptionsError> {
        let mut lines = self.headers.clone();
        if let Some(path) = &self.header_file {
            let text = fs::read_to_string(path).map_err(|error| OptionsError(format!("--header-file {}: {error}", path.display())))?;
            lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        }
        Ok(lines)
    }
}

fn read_body(path: &Path) -> Result<Bytes, OptionsError> {
    fs::read(path).map(|message| grpc::frame(&message)).map_err(|error| OptionsError(format!("--body-file {}: {error}", path.display())))
}

/// Never repeats the value: it may be a key.
fn parse_header(line: &str) -> Result<(HeaderName, HeaderValue), OptionsError> {
    let (name, value) = line.split_once(':').ok_or_else(|| OptionsError("a header is not of the form `name: value`".to_owned()))?;
    let name: HeaderName = name.trim().parse().map_err(|_| OptionsError(format!("`{name}` is not a header name")))?;
    let value = value.trim().parse().map_err(|_| OptionsError(format!("the value of the header `{name}` has forbidden characters")))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &[&str]) -> Options {
        let arguments = ["loader", "--address", "127.0.0.1:1"].iter().chain(line);
        Line::try_parse_from(arguments).map(|line| line.options).unwrap()
    }

    #[test]
    fn headers_and_the_deadline_reach_the_call() {
        let template = options(&["--header", "authorization: Bearer k", "--deadline-ms", "40"]).template().unwrap();
        assert_eq!(template.head.headers()["authorization"], "Bearer k");
        assert_eq!(template.head.headers()["grpc-timeout"], "40m");
        assert_eq!(template.head.uri().path(), "/inference.GRPCInferenceService/ModelInfer");
    }

    #[test]
    fn calls_take_the_body_files_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["one", "second"].map(|text| {
            let file = folder.path().join(text);
            fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        });
        let template = options(&["--body-file", &files[0], "--body-file", &files[1]]).template().unwrap();
        let sent: Vec<_> = (0..3).map(|_| template.next_body()).collect();
        assert_eq!(sent, ["one", "second", "one"].map(|text| grpc::frame(text.as_bytes())));
        assert_eq!(template.body_bytes(), grpc::FRAME_HEADER + 4);
    }

    #[test]
    fn a_bad_header_is_refused_without_showing_its_value() {
        let error = options(&["--header", "authorization: Bearer secret\u{1}"]).template().err().unwrap().to_string();
        assert!(error.contains("authorization") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_run_of_nothing_is_refused() {
        for line in [["--callers", "0"], ["--connections", "0"], ["--seconds", "0"], ["--rate", "-1"], ["--requests", "0"]] {
            let error = options(&[&line.join("=")]).validate().unwrap_err().to_string();
            assert!(error.contains(line[0]), "{error}");
        }
    }
}
