//! The settings of a task.

use torchmesh_runtime::config::Section;

use super::{
    Aggregation, ClassifySettings, EmbedSettings, HeadSettings, PoolSettings, Pooling, Published, RerankSettings, ScoreFunction, Task,
    TextSettings, TokenClassifySettings, Truncation,
    read::{file_name, within},
    read_generate, read_image, read_voice,
    words::TaskWord,
};

/// The most labels that a manifest may name.
const MAX_LABELS: usize = 100_000;

/// Reads what goes with the task; the settings of other tasks stay unknown, and are reported as such.
pub(super) fn task(s: &mut Section, word: TaskWord, published: &Published) -> Task {
    match word {
        TaskWord::Tensor => Task::Tensor,
        TaskWord::Embed => Task::Embed(EmbedSettings { text: text(s, published), pool: pool(s, published) }),
        TaskWord::Classify => Task::Classify(classify(s, published)),
        TaskWord::TokenClassify => Task::TokenClassify(TokenClassifySettings {
            text: text(s, published),
            labels: labels(s, published),
            aggregation: s.or("aggregation", Aggregation::Simple),
        }),
        TaskWord::Fill => Task::Fill(text(s, published)),
        TaskWord::Rerank => Task::Rerank(RerankSettings { text: text(s, published), function: s.or("scores", ScoreFunction::Sigmoid) }),
        TaskWord::ClassifyImage => {
            let labels = labels(s, published);
            Task::ClassifyImage(read_image::classify(s, &published.image, labels))
        }
        TaskWord::DetectObjects => {
            let labels = labels(s, published);
            Task::DetectObjects(read_image::detect(s, &published.image, labels))
        }
        TaskWord::DetectVoice => Task::DetectVoice(read_voice::voice(s)),
        TaskWord::Generate => Task::Generate(Box::new(read_generate::generate(s))),
    }
}

fn classify(s: &mut Section, published: &Published) -> ClassifySettings {
    let head = s.has("head") || published.head.is_some();
    let file = |s: &mut Section| file_name(s, "head", published.head.as_deref().unwrap_or_default());
    ClassifySettings {
        text: text(s, published),
        labels: labels(s, published),
        function: s.or("scores", published.function.unwrap_or(ScoreFunction::Softmax)),
        head: head.then(|| HeadSettings { file: file(s), pool: pool(s, published) }),
    }
}

fn text(s: &mut Section, published: &Published) -> TextSettings {
    let tokenizer = file_name(s, "tokenizer", "tokenizer.json");
    let max_tokens = within(s, "max_tokens", published.max_tokens.unwrap_or(512), 8..=131_072);
    let truncation = s.or("truncation", Truncation::End);
    // Special tokens and the overlap have to leave room for something new in each window.
    let overlap = within(s, "overlap", max_tokens / 8, 0..=max_tokens / 2);
    TextSettings { tokenizer, max_tokens, truncation, overlap }
}

fn pool(s: &mut Section, published: &Published) -> PoolSettings {
    PoolSettings {
        pooling: s.or("pooling", published.pooling.unwrap_or(Pooling::Mean)),
        normalize: s.or("normalize", published.normalize.unwrap_or(true)),
    }
}

fn labels(s: &mut Section, published: &Published) -> Vec<String> {
    let labels = s.or("labels", published.labels.clone());
    s.check(labels.len() <= MAX_LABELS, "labels", format!("must have at most {MAX_LABELS} entries"));
    labels
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, Published, ScoreFunction, Task, Truncation};

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(text, &Published::default()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_classifier_takes_its_labels_and_scores_from_the_manifest() {
        let manifest =
            parse("task = 'classify'\nlabels = ['no', 'yes']\nscores = 'sigmoid'\ntruncation = 'split'\nmax_tokens = 64").unwrap();
        let Task::Classify(classify) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!(
            (classify.labels.as_slice(), classify.function),
            (["no".to_owned(), "yes".to_owned()].as_slice(), ScoreFunction::Sigmoid)
        );
        assert_eq!((classify.text.truncation, classify.text.overlap, classify.head.is_none()), (Truncation::Split, 8, true));
        assert_eq!(manifest.outputs[0].name, "logits");
    }

    #[test]
    fn pooling_belongs_to_a_classifier_with_a_head_alone() {
        assert!(parse("task = 'classify'\npooling = 'cls'").unwrap_err().contains("pooling: is not a setting here"));
        assert!(parse("task = 'classify'\nhead = 'head.safetensors'\npooling = 'cls'").is_ok());
        assert!(parse("task = 'classify'\nhead = '../head.safetensors'").unwrap_err().contains("head: must be the name of a file"));
    }

    #[test]
    fn settings_of_one_task_are_unknown_to_another() {
        for wrong in ["task = 'fill'\nlabels = ['a']", "task = 'rerank'\naggregation = 'max'", "task = 'embed'\nscores = 'none'"] {
            assert!(parse(wrong).unwrap_err().contains("is not a setting here"), "{wrong}");
        }
        assert!(parse("task = 'translate'").unwrap_err().contains("\"token-classify\""));
        assert!(parse("task = 'fill'\noverlap = 300").unwrap_err().contains("overlap: must be from 0 to 256"));
    }
}
